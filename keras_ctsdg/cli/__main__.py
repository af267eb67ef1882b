from _keras_ctsdg_command import main

main()
