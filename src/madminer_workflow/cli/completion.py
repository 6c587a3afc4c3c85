"""``completion``: what a shell has to read to complete commands and options."""

from __future__ import annotations

import click

PROGRAM = "madminer-workflow"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the shell completion for commands, options and file names.

    Load it when SHELL starts: `eval "$(madminer-workflow completion bash)"` in ~/.bashrc, the
    same with zsh in ~/.zshrc, `madminer-workflow completion fish | source` in
    ~/.config/fish/config.fish.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None, "click knows these three"
    variable = f"_{PROGRAM}_COMPLETE".replace("-", "_").upper()
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, PROGRAM, variable).source())
