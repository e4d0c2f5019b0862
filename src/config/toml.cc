/* TOML through toml++, which is C++. */
#include "config/leaf.h"

#include <algorithm>
#include <exception>
#include <string>
#include <string_view>
#include <toml++/toml.h>
#include <vector>

namespace
{

constexpr std::size_t path_max = 1000;
constexpr int depth_max = 16; // deeper than any setting lies
// toml++ bounds how deep values are nested, 256, yet not how many tables a key like a.b.c makes: it walks and frees them by
// recursion, and the stack is to be enough for both.
constexpr int dots_max = 32;

struct place {
	const toml::node *node;
	std::string path;
};

std::string joined(const std::string &parent, std::string_view key)
{
	std::string path = parent.empty() ? "" : parent + ".";

	// What is shown in an error stays on one line, and a dot inside a key does not look like a table.
	for (char c : key.substr(0, path_max))
		path += (c > ' ' && c < 127 && c != '.') ? c : '?';
	if (key.empty())
		path += "\"\"";
	return path.substr(0, path_max);
}

unsigned line_of(const toml::node &node)
{
	return static_cast<unsigned>(node.source().begin.line);
}

void tell(const place &at, const pd_config_reader *reader)
{
	pd_config_leaf leaf{};
	std::string text;

	leaf.path = at.path.c_str();
	leaf.line = line_of(*at.node);
	leaf.kind = PD_CONFIG_OTHER;
	leaf.is_table = at.node->is_table();
	if (const auto *string = at.node->as_string()) {
		leaf.kind = PD_CONFIG_STRING;
		text = string->get();
	} else if (const auto *integer = at.node->as_integer()) {
		leaf.kind = PD_CONFIG_INTEGER;
		text = std::to_string(integer->get());
	} else if (const auto *boolean = at.node->as_boolean()) {
		leaf.kind = PD_CONFIG_BOOLEAN;
		text = boolean->get() ? "true" : "false";
	}
	leaf.text = text.data();
	leaf.size = text.size();
	reader->leaf(reader->context, &leaf);
}

void walk(const toml::table &table, const std::string &parent, int depth, const pd_config_reader *reader)
{
	std::vector<place> places;

	for (const auto &[key, node] : table)
		places.push_back({ &node, joined(parent, key.str()) });
	// Tables are sorted by key; people read their file from the top.
	std::stable_sort(places.begin(), places.end(),
			 [](const place &a, const place &b) { return line_of(*a.node) < line_of(*b.node); });
	for (const place &at : places) {
		const toml::table *inner = at.node->as_table();

		if (inner != nullptr && !inner->empty() && depth < depth_max)
			walk(*inner, at.path, depth + 1, reader);
		else
			tell(at, reader);
	}
}

// The first line whose keys may be too deep; 0: there is none. A dot in a value or a comment counts, too: no setting needs so many.
unsigned line_too_deep(std::string_view text)
{
	unsigned line = 1;
	int dots = 0;

	for (char c : text) {
		if (c == '\n') {
			line++;
			dots = 0;
		} else if (c == '.' && ++dots > dots_max) {
			return line;
		}
	}
	return 0;
}

} // namespace

void pd_config_read_toml(const char *text, size_t size, const struct pd_config_reader *reader)
{
	const unsigned deep = line_too_deep(std::string_view(text, size));

	if (deep != 0) {
		reader->wrong(reader->context, deep,
			      "there are more than 32 dots in this line, which no setting needs");
		return;
	}
	try {
		std::string_view view(text, size);
		toml::table table = toml::parse(view);

		walk(table, "", 1, reader);
	} catch (const toml::parse_error &error) {
		std::string what("this is not TOML: ");

		what += error.description().substr(0, 200);
		for (char &c : what)
			if (static_cast<unsigned char>(c) < ' ')
				c = ' ';
		reader->wrong(reader->context, static_cast<unsigned>(error.source().begin.line),
			      what.c_str());
	} catch (const std::exception &) {
		reader->wrong(reader->context, 0, "out of memory for the configuration file");
	}
}
