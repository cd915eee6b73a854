"""The command `zhilu`."""


def main() -> None:
    """Run the command."""
