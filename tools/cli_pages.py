#!/usr/bin/python3
"""Pages about the command `perdure`, made of what it says of itself (`perdure … --describe`).

    tools/cli_pages.py man BINARY DIRECTORY              manual pages
    tools/cli_pages.py completion BINARY BASH ZSH FISH   completion, into these directories
    tools/cli_pages.py docs BINARY [--check]             docs/cli.md: written, or compared with what it should be
"""

import json
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
DOCS = os.path.join(ROOT, "docs", "cli.md")
LEVELS = "none performance standard strict full"


def describe(binary, *words):
    done = subprocess.run([binary, *words, "--describe"], stdout=subprocess.PIPE, check=True, stdin=subprocess.DEVNULL)
    return json.loads(done.stdout)


class Page:
    """One subcommand, or a subcommand of one."""

    def __init__(self, words, summary, description):
        self.words = words
        self.summary = summary
        self.name = "-".join(["perdure", *words])
        self.command = description["command"]
        self.synopsis = description["synopsis"]
        self.about = description["about"]
        self.options = description.get("options", [])
        self.verbs = description.get("verbs", [])
        self.operands = description.get("operands", "")
        self.sections = sections_of(description.get("after", ""))


def sections_of(text):
    """[(heading, lines)]: a heading is a line that is not indented and ends with a colon, and what follows it is."""
    sections = [("", [])]
    lines = text.splitlines()
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if line.endswith(":") and not line.startswith(" ") and following.startswith("  "):
            sections.append((line[:-1], []))
        elif sections[-1][0] and line and not line.startswith(" "):
            sections.append(("", [line]))
        else:
            sections[-1][1].append(line)
    return [(heading, strip(body)) for heading, body in sections if strip(body)]


def strip(lines):
    """Without empty lines at both ends."""
    while lines and not lines[0].strip():
        lines = lines[1:]
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def walk(binary):
    """(the description of `perdure` itself, all pages)"""
    top = describe(binary)
    pages = []
    for subcommand in top["subcommands"]:
        page = Page([subcommand["name"]], subcommand["summary"], describe(binary, subcommand["name"]))
        pages.append(page)
        for verb in page.verbs:
            words = [subcommand["name"], verb["name"]]
            pages.append(Page(words, verb["summary"], describe(binary, *words)))
    return top, pages


def dashed(option):
    return ("-" if len(option["name"]) == 1 else "--") + option["name"]


# ---- manual pages ----


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")
    return "\n".join("\\&" + line if line.startswith(".") else line for line in text.split("\n"))


def roff_text(text):
    """Paragraphs are filled; lines that are indented stay as they are."""
    output, literal = [], False
    for line in text.split("\n"):
        indented = line.startswith("  ")
        if indented != literal and line:
            output.append(".nf" if indented else ".fi")
            literal = indented
        output.append(roff(line) if line else ".PP")
    if literal:
        output.append(".fi")
    return "\n".join(output)


def roff_section(heading, lines):
    if heading == "Exit status":
        items = items_of(lines)
        return ".SH EXIT STATUS\n" + "\n".join(f".TP\n.B {key}\n{roff(text)}" for key, text in items)
    if heading == "":
        return roff_text("\n".join(lines))
    return f".SH {roff(heading.upper())}\n.nf\n" + roff("\n".join(lines)) + "\n.fi"


def items_of(lines):
    """"  0  done" as ("0", "done"); what is indented further goes on."""
    items = []
    for line in lines:
        match = re.match(r"  (\S+) {2,}(.*)", line)
        if match:
            items.append([match.group(1), match.group(2)])
        elif items:
            items[-1][1] += " " + line.strip()
    return items


def man_head(name, summary, version):
    return (f'.TH {roff(name.upper())} 1 "" "Perdure {version}" "Perdure"\n.SH NAME\n{roff(name)} \\- {roff(summary)}\n')


def man_page(page, pages, version):
    parts = [man_head(page.name, page.summary, version), f".SH SYNOPSIS\n.B {roff(page.synopsis)}\n",
             f".SH DESCRIPTION\n{roff_text(page.about)}"]
    parts += [roff_section(heading, lines) for heading, lines in page.sections if heading == ""]
    if page.verbs:
        parts.append(".SH SUBCOMMANDS")
        parts += [f".TP\n.BR {roff(page.name + '-' + verb['name'])} (1)\n{roff(verb['summary'])}" for verb in page.verbs]
    if page.options:
        parts.append(".SH OPTIONS")
    for option in page.options:
        argument = f" \\fI{roff(option['argument'])}\\fR" if option["argument"] else ""
        parts.append(f".TP\n\\fB{roff(dashed(option))}\\fR{argument}\n{roff_text(option['help'])}")
    parts += [roff_section(heading, lines) for heading, lines in page.sections if heading]
    related = ["perdure"] + [other.name for other in pages if other.words[0] == page.words[0] and other is not page]
    parts.append(".SH SEE ALSO\n" + ",\n".join(f".BR {roff(name)} (1)" for name in related).replace(",\n", " ,\n"))
    return "\n".join(parts) + "\n"


def man_overview(top, pages):
    parts = [man_head("perdure", top["about"], top["version"]), f".SH SYNOPSIS\n.B {roff(top['synopsis'])}\n",
             ".SH DESCRIPTION\nPerdure keeps what an actor, an agent or a tenant knows, and does not lose it. Every change goes through one\n"
             "log; a reply means what it says. It speaks the Redis protocol.\n.PP\nTo begin:\n.nf\n\n"
             "  perdure server\n  perdure cli\n\n.fi", ".SH SUBCOMMANDS"]
    parts += [f".TP\n.BR {roff(page.name)} (1)\n{roff(page.summary)}" for page in pages if len(page.words) == 1]
    parts.append(".SH EXIT STATUS")
    parts += [f".TP\n.B {row['status']}\n{roff(row['text'])}" for row in top["exit_statuses"]]
    return "\n".join(parts) + "\n"


def write(directory, name, text):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        file.write(text)


def write_man(binary, directory):
    top, pages = walk(binary)
    shutil.rmtree(directory, ignore_errors=True)
    write(directory, "perdure.1", man_overview(top, pages))
    for page in pages:
        write(directory, page.name + ".1", man_page(page, pages, top["version"]))


# ---- completion ----


def values_of(option):
    """What an option takes: words, or "file", "directory", or nothing known."""
    argument = option["argument"]
    if option["kind"] == "format":
        return "text json"
    if argument == "LEVEL":
        return LEVELS
    if "|" in argument:
        return argument.replace("|", " ")
    return {"DIR": "directory", "FILE": "file"}.get(argument, "")


def bash_case(page):
    """What may follow an option of the page, and all of its options."""
    lines = [f"\t'{' '.join(page.words)}')"]
    names = " ".join([*(dashed(option) for option in page.options), "--help"])
    lines.append(f"\t\toptions='{names}'")
    for kind in sorted({values_of(option) for option in page.options if option["argument"]}):
        patterns = "|".join(dashed(option) for option in page.options if option["argument"] and values_of(option) == kind)
        lines.append(f"\t\t[[ $previous == @({patterns}) ]] && takes='{kind or '-'}'")
    lines.append("\t\t;;")
    return "\n".join(lines)


BASH = """# Completion of perdure for bash. Made by tools/cli_pages.py from the command's own tables.
_perdure()
{
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local subcommand='' verb='' command options='' takes='' verbs='' index
	# --option=value comes as three words.
	if [[ $word == = ]]; then
		word=''
	elif [[ $previous == = ]]; then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	((COMP_CWORD > 1)) && subcommand=${COMP_WORDS[1]}
	COMPREPLY=()
	if [[ -z $subcommand ]]; then
		COMPREPLY=($(compgen -W '@SUBCOMMANDS@ help --help --version' -- "$word"))
		return
	fi
	if [[ $subcommand == help ]]; then
		((COMP_CWORD == 2)) && COMPREPLY=($(compgen -W '@SUBCOMMANDS@' -- "$word"))
		return
	fi
	case $subcommand in
@VERBS@
	esac
	if [[ -n $verbs ]]; then
		if ((COMP_CWORD == 2)); then
			COMPREPLY=($(compgen -W "$verbs --help" -- "$word"))
			return
		fi
		verb=" ${COMP_WORDS[2]}"
	fi
	command=$subcommand$verb
	case $command in
@CASES@
	esac
	case $takes in
	directory) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$word")) ;;
	file) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$word")) ;;
	-) ;;
	'') [[ $word == -* || -z $word ]] && COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
	*) COMPREPLY=($(compgen -W "$takes" -- "$word")) ;;
	esac
}
complete -F _perdure perdure
"""


def bash_completion(pages):
    subcommands = [page for page in pages if len(page.words) == 1]
    verbs = "\n".join(f"\t{page.words[0]}) verbs='{' '.join(verb['name'] for verb in page.verbs)}' ;;" for page in subcommands if page.verbs)
    cases = "\n".join(bash_case(page) for page in pages if not page.verbs)
    return (BASH.replace("@SUBCOMMANDS@", " ".join(page.words[0] for page in subcommands)).replace("@VERBS@", verbs)
            .replace("@CASES@", cases))


def first_sentence(text):
    return re.split(r"(?<=[.;])\s", " ".join(text.split()))[0].rstrip(".;")


def zsh_quoted(text):
    return text.replace("\\", "\\\\").replace("'", "'\\''").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def zsh_arguments(page):
    rows = []
    for option in page.options:
        row = f"'{dashed(option)}[{zsh_quoted(first_sentence(option['help']))}]"
        if option["argument"]:
            kind = values_of(option)
            action = {"directory": "_files -/", "file": "_files", "": ""}.get(kind, f"({kind})")
            row += f":{zsh_quoted(option['argument'].lower())}:{action}"
        rows.append(row + "'")
    rows.append("'--help[print the page about it]'")
    return " \\\n\t\t\t".join(rows)


def zsh_completion(pages):
    lines = ["#compdef perdure", "# Completion of perdure for zsh. Made by tools/cli_pages.py from the command's own tables.", "_perdure()", "{",
             "\tlocal -a subcommands verbs", "\tsubcommands=("]
    lines += [f"\t\t'{page.words[0]}:{zsh_quoted(page.summary)}'" for page in pages if len(page.words) == 1]
    lines += ["\t)", "\tif ((CURRENT == 2)); then", "\t\t_describe 'subcommand' subcommands", "\t\treturn", "\tfi", "\tcase $words[2] in"]
    for page in pages:
        if len(page.words) != 1:
            continue
        lines.append(f"\t{page.words[0]})")
        if not page.verbs:
            lines += ["\t\tshift words; ((CURRENT--))", f"\t\t_arguments \\\n\t\t\t{zsh_arguments(page)}", "\t\t;;"]
            continue
        lines.append("\t\tverbs=(" + " ".join(f"'{verb['name']}:{zsh_quoted(verb['summary'])}'" for verb in page.verbs) + ")")
        lines += ["\t\tif ((CURRENT == 3)); then", "\t\t\t_describe 'subcommand' verbs", "\t\t\treturn", "\t\tfi", "\t\tcase $words[3] in"]
        for other in pages:
            if len(other.words) == 2 and other.words[0] == page.words[0]:
                lines += [f"\t\t{other.words[1]})", "\t\t\tshift 2 words; ((CURRENT -= 2))",
                          f"\t\t\t_arguments \\\n\t\t\t{zsh_arguments(other)}", "\t\t\t;;"]
        lines += ["\t\tesac", "\t\t;;"]
    lines += ["\tesac", "}", '_perdure "$@"', ""]
    return "\n".join(lines)


def fish_quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish_completion(pages):
    lines = ["# Completion of perdure for fish. Made by tools/cli_pages.py from the command's own tables.", "complete -c perdure -f"]
    for page in pages:
        condition = ("__fish_use_subcommand" if len(page.words) == 1 else
                     f"__fish_seen_subcommand_from {page.words[0]}; and not __fish_seen_subcommand_from "
                     + " ".join(other.words[1] for other in pages if len(other.words) == 2 and other.words[0] == page.words[0]))
        lines.append(f"complete -c perdure -n {fish_quoted(condition)} -a {page.words[-1]} -d {fish_quoted(page.summary)}")
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in page.words)
        for option in page.options:
            flag = ("-s " if len(option["name"]) == 1 else "-l ") + option["name"]
            kind = values_of(option) if option["argument"] else None
            takes = {None: "", "": " -x", "file": " -r -F", "directory": " -x -a '(__fish_complete_directories)'"}.get(kind, f" -x -a '{kind}'")
            lines.append(f"complete -c perdure -n {fish_quoted(seen)} {flag}{takes} -d {fish_quoted(first_sentence(option['help']))}")
    return "\n".join(lines) + "\n"


def write_completion(binary, bash, zsh, fish):
    _, pages = walk(binary)
    write(bash, "perdure", bash_completion(pages))
    write(zsh, "_perdure", zsh_completion(pages))
    write(fish, "perdure.fish", fish_completion(pages))


# ---- docs/cli.md ----

HEAD = """# The command

Written by `tools/cli_pages.py` from what the command says of itself (`perdure … --describe`); a test compares the two. `perdure SUBCOMMAND --help`
prints the same, `man perdure-SUBCOMMAND` too, and bash, zsh and fish complete it.

"""


def anchor(page):
    return "#" + " ".join(["perdure", *page.words]).replace(" ", "-")


def markdown_options(options):
    lines = ["", "| option | |", "|---|---|"]
    for option in options:
        name = dashed(option) + (" " + option["argument"] if option["argument"] else "")
        text = " ".join(option["help"].split()).replace("|", "\\|")
        environment = " `PERDURE_" + option["name"].upper().replace("-", "_") + "`" if option["environment"] else ""
        lines.append("| `" + name.replace("|", "\\|") + f"`{environment} | {text} |")
    return lines


def markdown_page(page):
    lines = ["", "#" * (len(page.words) + 1) + " perdure " + " ".join(page.words), "", "```", page.synopsis, "```", ""]
    paragraphs = page.about.split("\n\n")
    for paragraph in paragraphs:
        lines += ["```", paragraph, "```", ""] if paragraph.startswith("  ") else [paragraph, ""]
    for heading, body in page.sections:
        if heading == "":
            lines += [*body, ""]
    if page.options:
        lines = lines[:-1] + markdown_options(page.options) + [""]
    for heading, body in page.sections:
        if heading == "Exit status":
            lines += ["| exit status | |", "|---|---|"] + [f"| {key} | {text} |" for key, text in items_of(body)] + [""]
        elif heading:
            width = min(len(line) - len(line.lstrip()) for line in body if line.strip())
            lines += [heading + ":", "", "```sh" if heading == "Examples" else "```", *(line[width:] for line in body), "```", ""]
    return lines[:-1]


def markdown(binary):
    top, pages = walk(binary)
    lines = ["| subcommand | |", "|---|---|"]
    lines += [f"| [{' '.join(page.words)}]({anchor(page)}) | {page.summary} |" for page in pages]
    lines += ["", "| exit status | |", "|---|---|"] + [f"| {row['status']} | {row['text']} |" for row in top["exit_statuses"]]
    for page in pages:
        lines += markdown_page(page)
    return HEAD + "\n".join(lines) + "\n"


def write_docs(binary, check):
    wanted = markdown(binary)
    if not check:
        with open(DOCS, "w", encoding="utf-8") as file:
            file.write(wanted)
        return 0
    with open(DOCS, encoding="utf-8") as file:
        if file.read() == wanted:
            return 0
    print("docs/cli.md is not what the command says of itself: run tools/cli_pages.py docs build/perdure", file=sys.stderr)
    return 1


def main():
    words = sys.argv[1:]
    if words[:1] == ["man"] and len(words) == 3:
        write_man(*words[1:])
    elif words[:1] == ["completion"] and len(words) == 5:
        write_completion(*words[1:])
    elif words[:1] == ["docs"] and len(words) in (2, 3) and words[2:] in ([], ["--check"]):
        return write_docs(words[1], words[2:] == ["--check"])
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
