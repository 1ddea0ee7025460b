"""A table as Markdown and as LaTeX."""

from results.table import Table


def markdown(table: Table) -> str:
    lines = [
        f"# {table.title}",
        "",
        markdown_row(table.headers),
        markdown_row(["---"] * len(table.headers)),
    ]
    lines += [markdown_row(texts) for texts in table.rows]
    lines += ["", *(f"- {note}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def markdown_row(texts: list[str]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def latex(table: Table) -> str:
    r"""A booktabs table; needs \usepackage{booktabs}."""
    columns = "l" + "r" * (len(table.headers) - 1)
    body = [" & ".join(map(escape, texts)) + r" \\" for texts in table.rows]
    notes = [f"% {line}" for note in table.notes for line in note.splitlines()]
    lines = [
        *notes,
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.title)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(escape, table.headers)) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
        "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "±": r"$\pm$", "–": "--", "×": r"$\times$", "“": "``", "”": "''", "≤": r"$\le$",
        "∞": r"$\infty$", "→": r"$\to$", "β": r"$\beta$", "₁": r"$_1$", "₂": r"$_2$",
    }
)  # fmt: skip


def escape(text: str) -> str:
    return text.translate(LATEX)
