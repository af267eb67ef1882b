// Says which page uploads a file, as Gradio's own client says with each event.
{
  const send = window.fetch;
  window.fetch = (url, options) => {
    if (String(url).includes("/gradio_api/upload")) {
      const session_hash = window.__gradio_session_hash__;
      options = { ...options, headers: { ...options.headers, session_hash } };
    }
    return send(url, options);
  };
}
