#!/usr/bin/python3
"""plant_names.py PLANT.H OUTPUT: the names of the planted bugs, in the order of their enum, as a table of C."""

import re
import sys


def names_of(header):
    with open(header, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
    enum = re.search(r"enum pd_plant \{(.*?)\}", text, re.DOTALL).group(1)
    return re.findall(r"\bPD_PLANT_(\w+)", enum)


def main():
    rows = "".join(f'\t"{name}",\n' for name in names_of(sys.argv[1]))
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write("static const char *const pd_plant_names[] = {\n" + rows + "};\n")


if __name__ == "__main__":
    main()
