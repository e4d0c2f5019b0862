#include "base/utf8.h"

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

static int append_escaped_byte(struct pd_buffer *buffer, uint8_t byte)
{
	switch (byte) {
	case '\n':
		return pd_buffer_append(buffer, "\\n", 2);
	case '\r':
		return pd_buffer_append(buffer, "\\r", 2);
	case '\t':
		return pd_buffer_append(buffer, "\\t", 2);
	default:
		return pd_buffer_printf(buffer, "\\x%02x", byte);
	}
}

int pd_append_line(struct pd_buffer *buffer, struct pd_slice text)
{
	int result = 0;

	for (size_t at = 0; at < text.size && result == 0;) {
		const uint8_t *character = text.data + at;
		size_t size = pd_utf8_character(character, text.size - at);
		bool plain = size > 0 && !pd_utf8_is_control(character, size);

		size = size > 0 ? size : 1;
		if (plain)
			result = pd_buffer_append(buffer, character, size);
		else
			for (size_t i = 0; i < size && result == 0; i++)
				result = append_escaped_byte(buffer, character[i]);
		at += size;
	}
	return result;
}

int pd_append_json_string(struct pd_buffer *buffer, struct pd_slice bytes)
{
	int result = pd_buffer_append(buffer, "\"", 1);

	for (size_t at = 0; at < bytes.size && result == 0;) {
		const uint8_t *character = bytes.data + at;
		size_t size = pd_utf8_character(character, bytes.size - at);

		if (size == 0)
			result = pd_buffer_append(buffer, "\\ufffd", 6);
		else if (*character == '"' || *character == '\\')
			result = pd_buffer_printf(buffer, "\\%c", *character);
		else if (pd_utf8_is_control(character, size))
			result = pd_buffer_printf(buffer, "\\u%04x", character[size - 1]);
		else
			result = pd_buffer_append(buffer, character, size);
		at += size > 0 ? size : 1;
	}
	return result == 0 ? pd_buffer_append(buffer, "\"", 1) : result;
}
