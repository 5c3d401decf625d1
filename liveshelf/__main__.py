from liveshelf.cli import main

main()
