#include "cli/words.h"

#include <strings.h>

#include "base/memory.h"

#define BYTES_MAX (512u * 1024 * 1024)

void pd_words_init(struct pd_words *words)
{
	*words = (struct pd_words){ 0 };
	pd_buffer_init(&words->bytes, BYTES_MAX);
}

void pd_words_done(struct pd_words *words)
{
	pd_free(words->items);
	pd_buffer_done(&words->bytes);
	pd_words_init(words);
}

static int no_room(int result, struct pd_error *err)
{
	return pd_error_set(err, result,
			    result == PD_NO_MEMORY ? "out of memory for the command"
						   : "a command of more than %u MiB",
			    BYTES_MAX >> 20);
}

/* ---- splitting ---- */

static bool is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static int hex_digit(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* What stands behind a backslash inside "…"; *at is on it, and is left on its last byte. */
static uint8_t escaped(struct pd_slice line, size_t *at)
{
	uint8_t byte = line.data[*at];

	switch (byte) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'b':
		return '\b';
	case 'a':
		return '\a';
	case 'x':
		if (*at + 2 < line.size && hex_digit(line.data[*at + 1]) >= 0 &&
		    hex_digit(line.data[*at + 2]) >= 0) {
			*at += 2;
			return (uint8_t)(hex_digit(line.data[*at - 1]) << 4 | hex_digit(line.data[*at]));
		}
		return byte;
	default:
		return byte;
	}
}

static int quoted(struct pd_words *words, struct pd_slice line, size_t *at, struct pd_error *err)
{
	uint8_t quote = line.data[*at];
	size_t began = (*at)++;

	for (; *at < line.size; (*at)++) {
		uint8_t byte = line.data[*at];
		int result;

		if (byte == quote) {
			(*at)++;
			if (*at < line.size && !is_blank(line.data[*at]))
				return pd_error_set(
					err, PD_INVALID,
					"something stands right behind the %c that closes a quote, at "
					"character %zu: a blank is missing",
					quote, *at + 1);
			return 0;
		}
		if (byte == '\\' && *at + 1 < line.size && quote == '"') {
			(*at)++;
			byte = escaped(line, at);
		} else if (byte == '\\' && *at + 1 < line.size && line.data[*at + 1] == '\'') {
			byte = line.data[++*at];
		}
		result = pd_buffer_append(&words->bytes, &byte, 1);
		if (result != 0)
			return no_room(result, err);
	}
	return pd_error_set(err, PD_INVALID,
			    "the quote that begins at character %zu is not closed: a %c is missing",
			    began + 1, quote);
}

static int plain(struct pd_words *words, struct pd_slice line, size_t *at, struct pd_error *err)
{
	size_t began = *at;
	int result;

	while (*at < line.size && !is_blank(line.data[*at]) && line.data[*at] != '"' &&
	       line.data[*at] != '\'')
		(*at)++;
	result = pd_buffer_append(&words->bytes, line.data + began, *at - began);
	return result == 0 ? 0 : no_room(result, err);
}

/* The items are sizes only until all bytes are there: these may move. */
static int note(struct pd_words *words, size_t size, struct pd_error *err)
{
	struct pd_slice *items = pd_grow(words->items, words->count, &words->capacity, sizeof *items, 16);

	if (items == NULL)
		return no_room(PD_NO_MEMORY, err);
	words->items = items;
	items[words->count++] = pd_slice(NULL, size);
	return 0;
}

static void point(struct pd_words *words)
{
	const uint8_t *at = words->bytes.data;

	for (size_t i = 0; i < words->count; i++) {
		words->items[i].data = at;
		at += words->items[i].size;
	}
}

int pd_words_split(struct pd_words *words, struct pd_slice line, struct pd_error *err)
{
	size_t at = 0;
	int result = 0;

	words->count = 0;
	pd_buffer_clear(&words->bytes);
	while (result == 0) {
		size_t began = words->bytes.size;

		while (at < line.size && is_blank(line.data[at]))
			at++;
		if (at == line.size)
			break;
		/* A quote in the middle of a plain word goes on with it: a"b c" is one word. */
		while (result == 0 && at < line.size && !is_blank(line.data[at]))
			result = line.data[at] == '"' || line.data[at] == '\'' ? quoted(words, line, &at, err)
									       : plain(words, line, &at, err);
		if (result == 0)
			result = note(words, words->bytes.size - began, err);
	}
	if (result != 0) {
		words->count = 0;
		return result;
	}
	point(words);
	return 0;
}

int pd_words_add(struct pd_words *words, struct pd_slice word, struct pd_error *err)
{
	int result = pd_buffer_append_slice(&words->bytes, word);

	if (result != 0)
		return no_room(result, err);
	result = note(words, word.size, err);
	point(words);
	return result;
}

/* ---- looking at them ---- */

bool pd_words_are(const struct pd_words *words, size_t index, const char *name)
{
	return index < words->count && pd_slice_equal_nocase(words->items[index], name);
}

/* Is one of these letters' words in it: "requirepass", "tls-key-file-pass", "masterauth" … */
static bool names_a_secret(struct pd_slice word)
{
	static const char *const parts[] = { "pass", "secret", "auth", "key" };

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		size_t size = pd_slice_string(parts[i]).size;

		for (size_t at = 0; at + size <= word.size; at++)
			if (strncasecmp((const char *)word.data + at, parts[i], size) == 0)
				return true;
	}
	return false;
}

bool pd_words_are_secret(const struct pd_words *words)
{
	if (pd_words_are(words, 0, "auth") || pd_words_are(words, 0, "acl") ||
	    pd_words_are(words, 0, "pd.user"))
		return true;
	if (pd_words_are(words, 0, "hello") || pd_words_are(words, 0, "migrate")) {
		for (size_t i = 1; i < words->count; i++)
			if (pd_words_are(words, i, "auth") || pd_words_are(words, i, "auth2"))
				return true;
	}
	if (pd_words_are(words, 0, "config") && pd_words_are(words, 1, "set")) {
		for (size_t i = 2; i < words->count; i += 2)
			if (names_a_secret(words->items[i]))
				return true;
	}
	return false;
}
