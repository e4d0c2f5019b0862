#include "front/resp/syntax.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "wire/resp.h"

/* One argument, cut into its parts; a slice without data is not there. */
struct argument {
	struct pd_slice name, token, since, deprecated, inner;
	char type; /* 0: a string */
	char key_index;
	bool optional, multiple, multiple_token;
};

const struct pd_resp_syntax *pd_resp_syntax_find(const char *name)
{
	size_t low = 0, high = pd_resp_syntax_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(name, pd_resp_syntaxes[middle].name);

		if (order == 0)
			return pd_resp_syntaxes + middle;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* ---- reading: the text is ours, so what does not parse is a mistake in the table ---- */

static struct pd_slice take_until(struct pd_slice *rest, const char *ends)
{
	struct pd_slice taken = pd_slice(rest->data, 0);

	while (taken.size < rest->size && strchr(ends, rest->data[taken.size]) == NULL)
		taken.size++;
	*rest = pd_slice(rest->data + taken.size, rest->size - taken.size);
	return taken;
}

static bool take(struct pd_slice *rest, char c)
{
	if (rest->size == 0 || rest->data[0] != (uint8_t)c)
		return false;
	*rest = pd_slice(rest->data + 1, rest->size - 1);
	return true;
}

/* What is between parentheses, the first of which has been taken. */
static struct pd_slice take_inner(struct pd_slice *rest)
{
	struct pd_slice inner = pd_slice(rest->data, 0);
	size_t depth = 1;

	for (;; inner.size++) {
		PD_ASSERT(inner.size < rest->size);
		if (rest->data[inner.size] == '(')
			depth++;
		else if (rest->data[inner.size] == ')' && --depth == 0)
			break;
	}
	*rest = pd_slice(rest->data + inner.size + 1, rest->size - inner.size - 1);
	return inner;
}

static bool next_argument(struct pd_slice *rest, struct argument *ret_argument)
{
	static const char ends[] = "~=^!()?*+ ";
	struct argument argument = { .type = 0 };

	(void)take(rest, ' ');
	if (rest->size == 0)
		return false;
	argument.name = take_until(rest, ends);
	PD_ASSERT(argument.name.size > 0);
	if (take(rest, '~')) {
		struct pd_slice type = take_until(rest, ends);

		PD_ASSERT(type.size == 1 || (type.size == 2 && type.data[0] == 'k'));
		argument.type = (char)type.data[0];
		argument.key_index = type.size == 2 ? (char)type.data[1] : 0;
	}
	if (take(rest, '='))
		argument.token = take_until(rest, ends);
	if (take(rest, '^'))
		argument.since = take_until(rest, ends);
	if (take(rest, '!'))
		argument.deprecated = take_until(rest, ends);
	if (take(rest, '('))
		argument.inner = take_inner(rest);
	argument.optional = take(rest, '?');
	argument.multiple = take(rest, '*');
	argument.multiple_token = take(rest, '+');
	PD_ASSERT(rest->size == 0 || rest->data[0] == ' ');
	*ret_argument = argument;
	return true;
}

static size_t count_arguments(struct pd_slice text)
{
	struct argument argument;
	size_t count = 0;

	while (next_argument(&text, &argument))
		count++;
	return count;
}

/* ---- writing ---- */

static const char *type_name(char type)
{
	static const struct {
		char type;
		const char *name;
	} types[] = { { 'i', "integer" }, { 'd', "double" },    { 'k', "key" },
		      { 'p', "pattern" }, { 'u', "unix-time" }, { 't', "pure-token" },
		      { 'o', "oneof" },   { 'b', "block" },     { 0, "string" } };

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i].type == type)
			return types[i].name;
	PD_ASSERT(false);
	return "";
}

static void write_text(struct pd_resp_writer *reply, const char *name, struct pd_slice text)
{
	if (text.data == NULL)
		return;
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_bulk(reply, text);
}

static void write_arguments(struct pd_resp_writer *reply, struct pd_slice text);

static void write_argument(struct pd_resp_writer *reply, const struct argument *argument)
{
	size_t flags = (size_t)argument->optional + argument->multiple + argument->multiple_token;

	pd_resp_write_map(reply, 2 + (size_t)(argument->key_index != 0) + (argument->token.data != NULL) +
					 (argument->since.data != NULL) +
					 (argument->deprecated.data != NULL) + (flags > 0) +
					 (argument->inner.data != NULL));
	write_text(reply, "name", argument->name);
	write_text(reply, "type", pd_slice_string(type_name(argument->type)));
	if (argument->key_index != 0) {
		pd_resp_write_bulk_string(reply, "key_spec_index");
		pd_resp_write_integer(reply, argument->key_index - '0');
	}
	write_text(reply, "token", argument->token);
	write_text(reply, "since", argument->since);
	write_text(reply, "deprecated_since", argument->deprecated);
	if (flags > 0) {
		pd_resp_write_bulk_string(reply, "flags");
		pd_resp_write_set(reply, flags);
		if (argument->optional)
			pd_resp_write_status(reply, "optional");
		if (argument->multiple)
			pd_resp_write_status(reply, "multiple");
		if (argument->multiple_token)
			pd_resp_write_status(reply, "multiple_token");
	}
	if (argument->inner.data != NULL) {
		pd_resp_write_bulk_string(reply, "arguments");
		write_arguments(reply, argument->inner);
	}
}

/* As deep as the table nests: a handful. */
static void write_arguments(struct pd_resp_writer *reply, struct pd_slice text)
{
	struct argument argument;

	pd_resp_write_array(reply, count_arguments(text));
	while (next_argument(&text, &argument))
		write_argument(reply, &argument);
}

void pd_resp_syntax_write_arguments(struct pd_resp_writer *reply, const char *arguments)
{
	write_arguments(reply, pd_slice_string(arguments));
}

/* ---- keys ---- */

bool pd_resp_syntax_next_keys(const char **rest, struct pd_resp_keys *ret_keys)
{
	const char *at = *rest;
	int *const numbers[] = { &ret_keys->first, &ret_keys->last, &ret_keys->step };

	at += strspn(at, "; ");
	if (*at == '\0')
		return false;
	for (size_t i = 0; i < 3; i++) {
		char *end;

		*numbers[i] = (int)strtol(at, &end, 10);
		PD_ASSERT(end > at && *end == (i < 2 ? ':' : ' '));
		at = end + 1;
	}
	ret_keys->flags = pd_slice(at, strcspn(at, ";"));
	*rest = at + ret_keys->flags.size;
	return true;
}

void pd_resp_syntax_write_flags(struct pd_resp_writer *reply, struct pd_slice flags)
{
	size_t count = 1;
	char word[32];

	for (size_t i = 0; i < flags.size; i++)
		count += flags.data[i] == ' ';
	pd_resp_write_set(reply, count);
	for (; count > 0; count--) {
		struct pd_slice one = take_until(&flags, " ");

		(void)take(&flags, ' ');
		(void)snprintf(word, sizeof word, "%.*s", (int)one.size, (const char *)one.data);
		pd_resp_write_status(reply, word);
	}
}

static void write_numbers(struct pd_resp_writer *reply, const char *type, size_t count,
			  const char *const *names, const int *numbers)
{
	pd_resp_write_map(reply, 2);
	pd_resp_write_bulk_string(reply, "type");
	pd_resp_write_bulk_string(reply, type);
	pd_resp_write_bulk_string(reply, "spec");
	pd_resp_write_map(reply, count);
	for (size_t i = 0; i < count; i++) {
		pd_resp_write_bulk_string(reply, names[i]);
		pd_resp_write_integer(reply, numbers[i]);
	}
}

void pd_resp_syntax_write_keys(struct pd_resp_writer *reply, const char *text)
{
	static const char *const index[] = { "index" }, *const range[] = { "lastkey", "keystep", "limit" };
	struct pd_resp_keys keys;
	const char *rest = text;
	size_t count = 0;

	while (pd_resp_syntax_next_keys(&rest, &keys))
		count++;
	pd_resp_write_array(reply, count);
	rest = text;
	while (pd_resp_syntax_next_keys(&rest, &keys)) {
		pd_resp_write_map(reply, 3);
		pd_resp_write_bulk_string(reply, "flags");
		pd_resp_syntax_write_flags(reply, keys.flags);
		pd_resp_write_bulk_string(reply, "begin_search");
		write_numbers(reply, "index", 1, index, (int[]){ keys.first });
		pd_resp_write_bulk_string(reply, "find_keys");
		write_numbers(reply, "range", 3, range, (int[]){ keys.last, keys.step, 0 });
	}
}
