"""--version, which every command answers, and --help."""

import sys


def answered(help_text: str) -> bool:
    """Print the version or the help, if --version, -h or --help was typed; whether one was."""
    if show_version():
        return True
    if not {"-h", "--help"} & set(sys.argv[1:]):
        return False
    print(help_text)
    return True


def show_version() -> bool:
    """Print which version this is, if --version was typed; whether it was."""
    if "--version" not in sys.argv[1:]:
        return False
    print(version_line())
    return True


def version_line() -> str:
    """The version, and of a checkout the commit and whether files have changed since."""
    from engine import environment

    commit = environment.commit()
    parts = [f"adamily {environment.version('adamily') or 'of no version: it is not installed'}"]
    if commit["git_commit"]:
        parts.append(f"commit {commit['git_commit']}")
    if commit["git_dirty"]:
        parts.append("with changes")
    return ", ".join(parts)
