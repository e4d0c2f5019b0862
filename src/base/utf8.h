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

/* Append text of our own that may have anything in it, so that it stays on its line: controls and what is no UTF-8 come as
 * \n, \x1b … */
PD_MUST_CHECK int pd_append_line(struct pd_buffer *buffer, struct pd_slice text);
/* Append bytes as a JSON string with its quotes. What is no UTF-8 comes as U+FFFD, one for each byte. */
PD_MUST_CHECK int pd_append_json_string(struct pd_buffer *buffer, struct pd_slice bytes);

#endif
