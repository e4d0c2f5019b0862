/* UTF-8 (RFC 3629), and bytes of unknown kind put into text that people and programs read. */
#ifndef PD_BASE_UTF8_H
#define PD_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* How many bytes at `at` are one character; 0: none that is valid. `left` > 0. */
size_t pd_utf8_character(const uint8_t *at, size_t left);
/* Would a terminal obey it? C0 and C1 controls, DEL. `size` as pd_utf8_character() told. */
bool pd_utf8_is_control(const uint8_t *at, size_t size);

/* How bytes are written into text. */
enum pd_escape {
	PD_ESCAPE_LINE,       /* controls and what is no UTF-8 as \n, \x1b …: it stays on its line */
	PD_ESCAPE_QUOTED,     /* the same between quotes: \" and \\, too */
	PD_ESCAPE_JSON,       /* as in a JSON string; what is no UTF-8 as U+FFFD, one for each byte */
	PD_ESCAPE_JSON_BYTES, /* the same, but what is no UTF-8 as \u00NN, so that what differs stays different */
};
#define PD_ESCAPE_SIZE 9 /* of a character, with a NUL */
/* What is at *at of the bytes (there is something), as it is to be written: a run of characters as they are, or one, or a byte that
 * is none, as made in `text`. *at goes on behind it. */
struct pd_slice pd_escape_next(struct pd_slice bytes, size_t *at, enum pd_escape how,
			       char text[PD_ESCAPE_SIZE]);

/* Append text of our own that may have anything in it, so that it stays on its line: controls and what is no UTF-8 come as
 * \n, \x1b … */
PD_MUST_CHECK int pd_append_line(struct pd_buffer *buffer, struct pd_slice text);
/* Append bytes as a JSON string with its quotes. What is no UTF-8 comes as U+FFFD, one for each byte. */
PD_MUST_CHECK int pd_append_json_string(struct pd_buffer *buffer, struct pd_slice bytes);

#endif
