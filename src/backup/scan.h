/* Taking lines of text apart, in which the repository says what it is and what is in it: each begins with a word. */
#ifndef PD_BACKUP_SCAN_H
#define PD_BACKUP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Once something does not fit, everything after it is empty and 0. */
struct pd_scan {
	struct pd_slice rest;
	bool bad;
};

/* Nothing more can be had of it. */
void pd_scan_fail(struct pd_scan *scan);
/* What comes before the next `end`, which is taken too. */
struct pd_slice pd_scan_until(struct pd_scan *scan, char end);
/* The same with a number, from 0 on. */
uint64_t pd_scan_number_until(struct pd_scan *scan, char end);
/* The line that begins with `word` and a space, without these. */
struct pd_slice pd_scan_line(struct pd_scan *scan, const char *word);
uint64_t pd_scan_number(struct pd_scan *scan, const char *word);
/* Does the line that comes next begin with `word` and a space? */
bool pd_scan_is(const struct pd_scan *scan, const char *word);
/* Takes the last line off, which is "crc" and the CRC32C of all before it, as eight digits. false: it is not so. */
bool pd_scan_take_crc(struct pd_slice *text);
/* Lower-case hexadecimal digits, two for each byte. false: they are none, or not so many. */
bool pd_scan_hex(struct pd_slice text, uint8_t *bytes, size_t size);
/* The other way round, with a NUL. */
void pd_scan_format_hex(const uint8_t *bytes, size_t size, char *text);
/* Bytes as one word: all but letters, digits and "_-.:" as "%2F". PD_NO_MEMORY, PD_TOO_LARGE. */
PD_MUST_CHECK int pd_scan_format_word(struct pd_slice bytes, struct pd_buffer *text);
/* And back: appended. false: nobody has written it so, or there is no room. */
bool pd_scan_word(struct pd_slice word, struct pd_buffer *bytes);

#endif
