"""What is checked of a package, a module for each question an expert asks."""
