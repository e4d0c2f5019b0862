/* What a subcommand prints: text with bytes of any kind in it, and JSON. */
#ifndef PD_CLI_OUTPUT_H
#define PD_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/slice.h"

struct pd_output {
	FILE *file;
	unsigned items; /* of the innermost JSON object or array: whether a comma is due */
	bool keyed;     /* the name of the next field has been printed */
};

void pd_output_text(struct pd_output *output, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* UTF-8 as it is; control characters, quotes, backslashes and other bytes as \n, \", \xNN. */
void pd_output_escaped(struct pd_output *output, struct pd_slice bytes);
/* The same with quotes and backslashes as they are: for a text that stands alone. */
void pd_output_lax(struct pd_output *output, struct pd_slice bytes);
/* As it is if it is one plain word, else "escaped". */
void pd_output_word(struct pd_output *output, struct pd_slice bytes);
/* "escaped", at most `max` bytes of it, then … if there is more. */
void pd_output_preview(struct pd_output *output, struct pd_slice bytes, size_t max);
/* "812 B", "4.2 KiB", "13.1 MiB", "1.2 GiB". */
struct pd_size_text {
	char bytes[24];
};
struct pd_size_text pd_size_text(double bytes);
/* Microseconds since 1970 as 2026-11-20T09:58:44.123456Z. */
void pd_output_time(struct pd_output *output, uint64_t time_us);

/* ---- JSON: commas set themselves; name NULL: an item of an array ---- */
void pd_output_open(struct pd_output *output, const char *name, char bracket); /* '{' or '[' */
void pd_output_close(struct pd_output *output, char bracket);                  /* '}' or ']' */
/* The name of the field that comes next (its own name is NULL then): bytes of any kind, escaped; what is not UTF-8 as \u00NN. */
void pd_output_key(struct pd_output *output, struct pd_slice name);
void pd_output_null_field(struct pd_output *output, const char *name);
/* A number as it is written. */
void pd_output_literal_field(struct pd_output *output, const char *name, struct pd_slice number);
void pd_output_integer_field(struct pd_output *output, const char *name, int64_t number);
/* A string; where it is not UTF-8, {"base64": "..."}. */
void pd_output_bytes_field(struct pd_output *output, const char *name, struct pd_slice bytes);
void pd_output_string_field(struct pd_output *output, const char *name, const char *string);
void pd_output_number_field(struct pd_output *output, const char *name, uint64_t number);
void pd_output_real_field(struct pd_output *output, const char *name, double number);
void pd_output_bool_field(struct pd_output *output, const char *name, bool value);
void pd_output_time_field(struct pd_output *output, const char *name, uint64_t time_us);
/* End of a JSON document or line. */
void pd_output_end(struct pd_output *output);

/* false: not everything could be written, and standard error says so. */
bool pd_output_finish(struct pd_output *output);

#endif
