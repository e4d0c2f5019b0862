#include "cli/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/timestamp.h"
#include "base/utf8.h"
#include "crypto/base64.h"

/* ---- text ---- */

void pd_output_text(struct pd_output *output, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vfprintf(output->file, format, arguments);
	va_end(arguments);
}

static bool is_utf8(struct pd_slice bytes)
{
	for (size_t at = 0; at < bytes.size;) {
		size_t size = pd_utf8_character(bytes.data + at, bytes.size - at);

		if (size == 0)
			return false;
		at += size;
	}
	return true;
}

static void print_escaped(struct pd_output *output, struct pd_slice bytes, enum pd_escape how)
{
	char text[PD_ESCAPE_SIZE];

	for (size_t at = 0; at < bytes.size;) {
		struct pd_slice piece = pd_escape_next(bytes, &at, how, text);

		(void)fwrite(piece.data, 1, piece.size, output->file);
	}
}

void pd_output_escaped(struct pd_output *output, struct pd_slice bytes)
{
	print_escaped(output, bytes, PD_ESCAPE_QUOTED);
}

void pd_output_lax(struct pd_output *output, struct pd_slice bytes)
{
	print_escaped(output, bytes, PD_ESCAPE_LINE);
}

void pd_output_word(struct pd_output *output, struct pd_slice bytes)
{
	bool plain = bytes.size > 0;

	for (size_t i = 0; plain && i < bytes.size; i++)
		plain = bytes.data[i] > ' ' && bytes.data[i] < 0x7f && bytes.data[i] != '"' &&
			bytes.data[i] != '\\' && bytes.data[i] != ';';
	if (plain)
		(void)fwrite(bytes.data, 1, bytes.size, output->file);
	else
		pd_output_preview(output, bytes, SIZE_MAX);
}

void pd_output_preview(struct pd_output *output, struct pd_slice bytes, size_t max)
{
	size_t size = bytes.size < max ? bytes.size : max;

	/* Not in the middle of a character. */
	while (size < bytes.size && size > 0 && max - size < 4 && (bytes.data[size] & 0xc0) == 0x80)
		size--;
	(void)fputc('"', output->file);
	pd_output_escaped(output, pd_slice(bytes.data, size));
	(void)fputs(size < bytes.size ? "\"…" : "\"", output->file);
}

struct pd_size_text pd_size_text(double bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	struct pd_size_text text;
	size_t unit = 0;

	if (bytes < 1024) {
		(void)snprintf(text.bytes, sizeof text.bytes, "%.0f B", bytes);
		return text;
	}
	for (bytes /= 1024; bytes >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
		bytes /= 1024;
	(void)snprintf(text.bytes, sizeof text.bytes, "%.1f %s", bytes, units[unit]);
	return text;
}

void pd_output_time(struct pd_output *output, uint64_t time_us)
{
	char text[PD_TIMESTAMP_SIZE];

	pd_timestamp_format(time_us, 6, text);
	(void)fputs(text, output->file);
}

/* ---- JSON ---- */

static void begin_item(struct pd_output *output, const char *name)
{
	if (output->keyed) {
		output->keyed = false;
		return;
	}
	if (output->items++ > 0)
		(void)fputs(", ", output->file);
	if (name != NULL)
		(void)fprintf(output->file, "\"%s\": ", name);
}

void pd_output_open(struct pd_output *output, const char *name, char bracket)
{
	begin_item(output, name);
	(void)fputc(bracket, output->file);
	output->items = 0;
}

void pd_output_close(struct pd_output *output, char bracket)
{
	(void)fputc(bracket, output->file);
	output->items = 1; /* what encloses it has at least this one */
}

static void print_base64(FILE *file, struct pd_slice bytes)
{
	const size_t piece = 48;
	char text[PD_BASE64_TEXT_SIZE(48)];

	for (size_t at = 0; at < bytes.size; at += piece) {
		size_t size = bytes.size - at < piece ? bytes.size - at : piece;

		pd_crypto_base64_encode(pd_slice(bytes.data + at, size), text);
		(void)fputs(text, file);
	}
}

void pd_output_key(struct pd_output *output, struct pd_slice name)
{
	begin_item(output, NULL);
	(void)fputc('"', output->file);
	print_escaped(output, name, PD_ESCAPE_JSON_BYTES);
	(void)fputs("\": ", output->file);
	output->keyed = true;
}

void pd_output_null_field(struct pd_output *output, const char *name)
{
	begin_item(output, name);
	(void)fputs("null", output->file);
}

void pd_output_literal_field(struct pd_output *output, const char *name, struct pd_slice number)
{
	begin_item(output, name);
	(void)fwrite(number.data, 1, number.size, output->file);
}

void pd_output_integer_field(struct pd_output *output, const char *name, int64_t number)
{
	begin_item(output, name);
	(void)fprintf(output->file, "%" PRId64, number);
}

void pd_output_bytes_field(struct pd_output *output, const char *name, struct pd_slice bytes)
{
	begin_item(output, name);
	if (!is_utf8(bytes)) {
		(void)fputs("{\"base64\": \"", output->file);
		print_base64(output->file, bytes);
		(void)fputs("\"}", output->file);
		return;
	}
	(void)fputc('"', output->file);
	print_escaped(output, bytes, PD_ESCAPE_JSON);
	(void)fputc('"', output->file);
}

void pd_output_string_field(struct pd_output *output, const char *name, const char *string)
{
	pd_output_bytes_field(output, name, pd_slice_string(string));
}

void pd_output_number_field(struct pd_output *output, const char *name, uint64_t number)
{
	begin_item(output, name);
	(void)fprintf(output->file, "%" PRIu64, number);
}

void pd_output_real_field(struct pd_output *output, const char *name, double number)
{
	begin_item(output, name);
	(void)fprintf(output->file, "%.3f", number);
}

void pd_output_bool_field(struct pd_output *output, const char *name, bool value)
{
	begin_item(output, name);
	(void)fputs(value ? "true" : "false", output->file);
}

void pd_output_time_field(struct pd_output *output, const char *name, uint64_t time_us)
{
	char text[PD_TIMESTAMP_SIZE];

	pd_timestamp_format(time_us, 6, text);
	pd_output_string_field(output, name, text);
}

void pd_output_end(struct pd_output *output)
{
	(void)fputc('\n', output->file);
	output->items = 0;
}

bool pd_output_finish(struct pd_output *output)
{
	int errnum;

	errno = 0;
	if (fflush(output->file) == 0 && ferror(output->file) == 0)
		return true;
	errnum = errno;
	(void)fprintf(stderr,
		      "perdure: what was to be printed could not be written%s%s; the rest of it is lost\n",
		      errnum != 0 ? ": " : "", errnum != 0 ? strerror(errnum) : "");
	return false;
}
