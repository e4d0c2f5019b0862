#include "base/utf8.h"

#include <stdio.h>

size_t pd_utf8_character(const uint8_t *at, size_t left)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t size = at[0] < 0x80   ? 1
		      : at[0] < 0xc2 ? 0
		      : at[0] < 0xe0 ? 2
		      : at[0] < 0xf0 ? 3
		      : at[0] < 0xf5 ? 4
				     : 0;
	uint32_t code = size == 1 ? at[0] : at[0] & (0x7fu >> size);

	if (size == 0 || size > left)
		return 0;
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	/* Overlong forms, beyond Unicode, halves of surrogate pairs. */
	if (code < least[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return size;
}

bool pd_utf8_is_control(const uint8_t *at, size_t size)
{
	return (size == 1 && (at[0] < 0x20 || at[0] == 0x7f)) || (size == 2 && at[0] == 0xc2 && at[1] < 0xa0);
}

/* A control, or a byte that is no UTF-8. */
static int escape_byte(char *text, size_t size, uint8_t byte)
{
	const char *word = byte == '\n' ? "\\n" : byte == '\r' ? "\\r" : byte == '\t' ? "\\t" : NULL;

	return word != NULL ? snprintf(text, size, "%s", word) : snprintf(text, size, "\\x%02x", byte);
}

static int escape_json(char *text, const uint8_t *character, size_t size, enum pd_escape how)
{
	/* The code of a control is its last byte: C1's are 0xc2 and it. */
	unsigned code = size > 0 ? character[size - 1] : how == PD_ESCAPE_JSON_BYTES ? character[0] : 0xfffd;

	return snprintf(text, PD_ESCAPE_SIZE, "\\u%04x", code);
}

/* Of whatever kind of text: written as they are. */
static size_t plain_run(const uint8_t *bytes, size_t size)
{
	size_t run = 0;

	while (run < size && bytes[run] >= ' ' && bytes[run] < 0x7f && bytes[run] != '"' &&
	       bytes[run] != '\\')
		run++;
	return run;
}

struct pd_slice pd_escape_next(struct pd_slice bytes, size_t *at, enum pd_escape how,
			       char text[PD_ESCAPE_SIZE])
{
	const uint8_t *character = bytes.data + *at;
	size_t run = plain_run(character, bytes.size - *at), size, taken;
	int used = 0;

	*at += run;
	if (run > 0)
		return pd_slice(character, run);
	size = pd_utf8_character(character, bytes.size - *at);
	taken = size > 0 ? size : 1;
	*at += taken;
	if (how != PD_ESCAPE_LINE && (*character == '"' || *character == '\\'))
		used = snprintf(text, PD_ESCAPE_SIZE, "\\%c", *character);
	else if (size > 0 && !pd_utf8_is_control(character, size))
		return pd_slice(character, size);
	else if (how == PD_ESCAPE_JSON || how == PD_ESCAPE_JSON_BYTES)
		used = escape_json(text, character, size, how);
	else
		for (size_t i = 0; i < taken; i++)
			used += escape_byte(text + used, PD_ESCAPE_SIZE - (size_t)used, character[i]);
	return pd_slice(text, (size_t)used);
}

static int append_escaped(struct pd_buffer *buffer, struct pd_slice bytes, enum pd_escape how)
{
	char text[PD_ESCAPE_SIZE];
	int result = 0;

	for (size_t at = 0; at < bytes.size && result == 0;)
		result = pd_buffer_append_slice(buffer, pd_escape_next(bytes, &at, how, text));
	return result;
}

int pd_append_line(struct pd_buffer *buffer, struct pd_slice text)
{
	return append_escaped(buffer, text, PD_ESCAPE_LINE);
}

int pd_append_json_string(struct pd_buffer *buffer, struct pd_slice bytes)
{
	int result = pd_buffer_append(buffer, "\"", 1);

	if (result == 0)
		result = append_escaped(buffer, bytes, PD_ESCAPE_JSON);
	return result == 0 ? pd_buffer_append(buffer, "\"", 1) : result;
}
