/* JSON. jansson knows no places, so lines are found beside it: keys come in the same order in the text and in the tree. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "config/leaf.h"

#define PATH_SIZE 1000
#define DEPTH_MAX 16 /* deeper than any setting lies */

/* Goes through a text that is known to be JSON. */
struct finder {
	struct pd_slice text;
	size_t at;
	unsigned line;
};

/* The line of the next key; 0: there is none. */
static unsigned next_key(struct finder *finder)
{
	const uint8_t *data = finder->text.data;
	size_t size = finder->text.size;

	while (finder->at < size) {
		unsigned line = finder->line;

		if (data[finder->at] == '\n')
			finder->line++;
		if (data[finder->at++] != '"')
			continue;
		/* A string: its end is the first quote that no backslash stands before. It has no raw line ends. */
		while (finder->at < size && data[finder->at] != '"')
			finder->at += data[finder->at] == '\\' ? 2 : 1;
		finder->at++;
		while (finder->at < size && (data[finder->at] == ' ' || data[finder->at] == '\t' ||
					     data[finder->at] == '\r' || data[finder->at] == '\n')) {
			finder->line += data[finder->at] == '\n';
			finder->at++;
		}
		if (finder->at < size && data[finder->at] == ':')
			return line;
	}
	return 0;
}

static void joined(const char *parent, const char *key, char path[PATH_SIZE])
{
	size_t at = (size_t)snprintf(path, PATH_SIZE, "%s%s", parent, parent[0] != '\0' ? "." : "");

	if (at >= PATH_SIZE)
		return;
	for (; *key != '\0' && at + 1 < PATH_SIZE; key++)
		path[at++] = (*key > ' ' && *key < 127 && *key != '.') ? *key : '?';
	path[at] = '\0';
}

/* Keys in what is not looked at: their lines are passed over. */
static void pass_over(const json_t *value, struct finder *finder)
{
	const char *key;
	json_t *inner;
	size_t i;

	/* jansson has refused what is nested deeper than its own maximum. */
	json_object_foreach((json_t *)(uintptr_t)value, key, inner)
	{
		(void)next_key(finder);
		pass_over(inner, finder);
	}
	json_array_foreach(value, i, inner) pass_over(inner, finder);
}

static void tell(const char *path, const json_t *value, unsigned line, const struct pd_config_reader *reader)
{
	struct pd_config_leaf leaf = { .path = path, .kind = PD_CONFIG_OTHER, .line = line };
	char number[32];

	leaf.is_table = json_is_object(value);
	if (json_is_string(value)) {
		leaf.kind = PD_CONFIG_STRING;
		leaf.text = json_string_value(value);
		leaf.size = json_string_length(value);
	} else if (json_is_integer(value)) {
		(void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
		leaf.kind = PD_CONFIG_INTEGER;
		leaf.text = number;
		leaf.size = strlen(number);
	} else if (json_is_boolean(value)) {
		leaf.kind = PD_CONFIG_BOOLEAN;
		leaf.text = json_is_true(value) ? "true" : "false";
		leaf.size = strlen(leaf.text);
	}
	reader->leaf(reader->context, &leaf);
}

static void walk(const char *parent, json_t *object, int depth, struct finder *finder,
		 const struct pd_config_reader *reader)
{
	char path[PATH_SIZE];
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		unsigned line = next_key(finder);

		joined(parent, key, path);
		if (json_is_object(value) && json_object_size(value) > 0 && depth < DEPTH_MAX) {
			walk(path, value, depth + 1, finder, reader);
		} else {
			tell(path, value, line, reader);
			pass_over(value, finder);
		}
	}
}

void pd_config_read_json(const char *text, size_t size, const struct pd_config_reader *reader)
{
	struct finder finder = { .text = pd_slice(text, size), .line = 1 };
	char what[200];
	json_error_t error;
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);

	if (root == NULL) {
		(void)snprintf(what, sizeof what, "this is not JSON: %s", error.text);
		reader->wrong(reader->context, error.line > 0 ? (unsigned)error.line : 0, what);
		return;
	}
	if (json_is_object(root))
		walk("", root, 1, &finder, reader);
	else
		reader->wrong(reader->context, 1, "the file is one object: { \"server\": { ... } }");
	json_decref(root);
}
