from keras_ctsdg.cli import main

main()
