/* Replies as bytes. Each function reserves for the longest it can write, then writes without further checks, so
 * a reply is in the buffer either as a whole or not at all. */
#include "wire/resp.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

#define INTEGER_MAX 20 /* characters of INT64_MIN */
#define DOUBLE_MAX  32 /* %.17g takes 24 at most */
#define HEADER_MAX  (1 + INTEGER_MAX + 2)

/* Where to write up to `size` bytes; NULL once the writer has failed. */
static inline uint8_t *reserve(struct pd_resp_writer *writer, size_t size)
{
	struct pd_buffer *buffer = writer->buffer;

	if (writer->failed != 0)
		return NULL;
	if (size > buffer->capacity - buffer->size) {
		writer->failed = pd_buffer_reserve(buffer, size);
		if (writer->failed != 0)
			return NULL;
	}
	return buffer->data + buffer->size;
}

/* What was written since reserve() ends before `end`. */
static inline void commit(struct pd_resp_writer *writer, const uint8_t *end)
{
	writer->buffer->size = (size_t)(end - writer->buffer->data);
}

static inline uint8_t *put_line_end(uint8_t *to)
{
	memcpy(to, "\r\n", 2);
	return to + 2;
}

static inline uint8_t *put_bytes(uint8_t *to, const void *bytes, size_t size)
{
	if (size > 0)
		memcpy(to, bytes, size);
	return to + size;
}

static size_t digits_of(uint64_t number)
{
	size_t digits = 1;

	while (number >= 10000) {
		number /= 10000;
		digits += 4;
	}
	return digits + (number >= 10) + (number >= 100) + (number >= 1000);
}

static inline uint8_t *put_unsigned(uint8_t *to, uint64_t number)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
				    "34353637383940414243444546474849505152535455565758596061626364656667"
				    "6869707172737475767778798081828384858687888990919293949596979899";
	size_t size;
	uint8_t *at;

	if (number < 10) {
		*to = (uint8_t)('0' + number);
		return to + 1;
	}
	size = digits_of(number);
	for (at = to + size; number >= 100; number /= 100) {
		at -= 2;
		memcpy(at, pairs + 2 * (number % 100), 2);
	}
	if (number >= 10)
		memcpy(to, pairs + 2 * number, 2);
	else
		*to = (uint8_t)('0' + number);
	return to + size;
}

static uint8_t *put_integer(uint8_t *to, int64_t number)
{
	uint64_t magnitude = (uint64_t)number;

	if (number < 0) {
		*to++ = '-';
		magnitude = 0 - magnitude;
	}
	return put_unsigned(to, magnitude);
}

static inline uint8_t *put_header(uint8_t *to, char mark, size_t number)
{
	*to++ = (uint8_t)mark;
	return put_line_end(put_unsigned(to, number));
}

/* One line of text, which can hold no line break. */
static void spaces_for_line_breaks(uint8_t *at, const uint8_t *end)
{
	for (; at < end; at++)
		if (*at == '\r' || *at == '\n')
			*at = ' ';
}

static void write_line(struct pd_resp_writer *writer, char mark, const char *text)
{
	size_t size = strlen(text);
	uint8_t *to = reserve(writer, size + 3);

	if (to == NULL)
		return;
	*to = (uint8_t)mark;
	memcpy(to + 1, text, size);
	spaces_for_line_breaks(to + 1, to + 1 + size);
	commit(writer, put_line_end(to + 1 + size));
}

void pd_resp_write_status(struct pd_resp_writer *writer, const char *text)
{
	write_line(writer, '+', text);
}

void pd_resp_write_error(struct pd_resp_writer *writer, const char *text)
{
	write_line(writer, '-', text);
}

void pd_resp_write_errorf(struct pd_resp_writer *writer, const char *format, ...)
{
	va_list arguments;
	uint8_t *to;
	int size;

	if (writer->failed != 0)
		return;
	va_start(arguments, format);
	size = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	PD_ASSERT(size >= 0);
	to = reserve(writer, (size_t)size + 4);
	if (to == NULL)
		return;
	*to++ = '-';
	va_start(arguments, format);
	(void)vsnprintf((char *)to, (size_t)size + 1, format, arguments);
	va_end(arguments);
	spaces_for_line_breaks(to, to + size);
	commit(writer, put_line_end(to + size));
}

void pd_resp_write_integer(struct pd_resp_writer *writer, int64_t number)
{
	uint8_t *to = reserve(writer, HEADER_MAX);

	if (to == NULL)
		return;
	*to++ = ':';
	commit(writer, put_line_end(put_integer(to, number)));
}

static void write_text(struct pd_resp_writer *writer, const void *bytes, size_t size)
{
	uint8_t *to;

	PD_ASSERT(size < SIZE_MAX / 2);
	to = reserve(writer, size + HEADER_MAX + 2);
	if (to == NULL)
		return;
	to = put_bytes(put_header(to, '$', size), bytes, size);
	commit(writer, put_line_end(to));
}

void pd_resp_write_bulk(struct pd_resp_writer *writer, struct pd_slice bytes)
{
	write_text(writer, bytes.data, bytes.size);
}

void pd_resp_write_bulk_begin(struct pd_resp_writer *writer, size_t size)
{
	uint8_t *to = reserve(writer, size + HEADER_MAX + 2);

	if (to != NULL)
		commit(writer, put_header(to, '$', size));
}

void pd_resp_write_bulk_hole(struct pd_resp_writer *writer, uint64_t size, void *source)
{
	uint8_t *to = reserve(writer, HEADER_MAX + 2);

	PD_ASSERT(writer->hole_count < writer->hole_max);
	if (to == NULL)
		return;
	commit(writer, put_header(to, '$', size));
	writer->holes[writer->hole_count++] = (struct pd_resp_hole){ .at = writer->buffer->size,
								     .source = source };
	pd_resp_write_raw(writer, pd_slice("\r\n", 2));
}

void pd_resp_write_bulk_string(struct pd_resp_writer *writer, const char *string)
{
	write_text(writer, string, strlen(string));
}

void pd_resp_write_bulk_integer(struct pd_resp_writer *writer, int64_t number)
{
	uint8_t text[INTEGER_MAX];

	write_text(writer, text, (size_t)(put_integer(text, number) - text));
}

void pd_resp_write_verbatim(struct pd_resp_writer *writer, const char *type3, struct pd_slice text)
{
	uint8_t *to;

	PD_ASSERT(strlen(type3) == 3 && text.size < SIZE_MAX / 2);
	if (writer->protocol == 2) {
		pd_resp_write_bulk(writer, text);
		return;
	}
	to = reserve(writer, text.size + HEADER_MAX + 4 + 2);
	if (to == NULL)
		return;
	to = put_header(to, '=', text.size + 4);
	for (size_t i = 0; i < 3; i++)
		*to++ = (uint8_t)type3[i];
	*to++ = ':';
	commit(writer, put_line_end(put_bytes(to, text.data, text.size)));
}

static void write_constant(struct pd_resp_writer *writer, const char *bytes)
{
	pd_resp_write_raw(writer, pd_slice_string(bytes));
}

void pd_resp_write_null(struct pd_resp_writer *writer)
{
	write_constant(writer, writer->protocol == 2 ? "$-1\r\n" : "_\r\n");
}

void pd_resp_write_null_array(struct pd_resp_writer *writer)
{
	write_constant(writer, writer->protocol == 3 ? "_\r\n" : "*-1\r\n");
}

/* A number with a few decimals, as scores and prices are: the shortest text without printf, or NULL.
 * A decimal of at most 15 digits is the only one that short which reads back as its double; and number * 10^k
 * is that decimal's digits if their exact quotient, rounded once by the division, is the number again.
 * Source: W. D. Clinger, "How to Read Floating Point Numbers Accurately", PLDI 1990 (the fast case). */
static uint8_t *put_short_decimal(uint8_t *to, double number)
{
	double magnitude = fabs(number);
	double power = 1;

	/* Below, %g changes to the exponent form. */
	if (!(magnitude >= 1e-4 && magnitude < 1e14))
		return NULL;
	for (size_t decimals = 1; decimals <= 10; decimals++) {
		double digits;
		uint64_t whole, scale;

		power *= 10;
		digits = nearbyint(magnitude * power);
		if (digits >= 1e15)
			return NULL;
		if (digits / power != magnitude)
			continue;
		if (number < 0)
			*to++ = '-';
		scale = (uint64_t)power;
		whole = (uint64_t)digits / scale;
		to = put_unsigned(to, whole);
		*to++ = '.';
		/* The leading zeros of the decimals come from a 1 before them, which the point then covers. */
		(void)put_unsigned(to - 1, (uint64_t)digits - whole * scale + scale);
		to[-1] = '.';
		return to + decimals;
	}
	return NULL;
}

/* As Redis prints a double: like %.17g, yet with the fewest digits that read back as the same number (Redis
 * does so since 7.2; before it printed all 17). */
static uint8_t *put_double(uint8_t *to, double number)
{
	uint8_t *end;
	int precision;

	if (isnan(number))
		return put_bytes(to, "nan", 3);
	if (isinf(number))
		return number > 0 ? put_bytes(to, "inf", 3) : put_bytes(to, "-inf", 4);
	if (fabs(number) < 1e17 && number == (double)(int64_t)number) {
		if (number == 0 && signbit(number))
			return put_bytes(to, "-0", 2);
		return put_integer(to, (int64_t)number);
	}
	end = put_short_decimal(to, number);
	if (end != NULL)
		return end;
	/* 15 digits always survive the way there and back, except where the number itself has fewer. */
	for (precision = fabs(number) < 0x1p-1022 ? 1 : 15;; precision++) {
		int size = snprintf((char *)to, DOUBLE_MAX, "%.*g", precision, number);

		PD_ASSERT(size > 0 && size < DOUBLE_MAX);
		if (precision == 17 || strtod((char *)to, NULL) == number)
			return to + size;
	}
}

void pd_resp_write_double(struct pd_resp_writer *writer, double number)
{
	uint8_t text[DOUBLE_MAX];
	size_t size = (size_t)(put_double(text, number) - text);
	uint8_t *to;

	if (writer->protocol == 2) {
		write_text(writer, text, size);
		return;
	}
	to = reserve(writer, size + 3);
	if (to == NULL)
		return;
	*to++ = ',';
	commit(writer, put_line_end(put_bytes(to, text, size)));
}

void pd_resp_write_boolean(struct pd_resp_writer *writer, bool value)
{
	if (writer->protocol == 2)
		write_constant(writer, value ? ":1\r\n" : ":0\r\n");
	else
		write_constant(writer, value ? "#t\r\n" : "#f\r\n");
}

static void write_header(struct pd_resp_writer *writer, char mark, size_t count)
{
	uint8_t *to = reserve(writer, HEADER_MAX);

	if (to != NULL)
		commit(writer, put_header(to, mark, count));
}

void pd_resp_write_array(struct pd_resp_writer *writer, size_t count)
{
	write_header(writer, '*', count);
}

void pd_resp_write_map(struct pd_resp_writer *writer, size_t count)
{
	if (writer->protocol == 2)
		write_header(writer, '*', 2 * count);
	else
		write_header(writer, '%', count);
}

void pd_resp_write_set(struct pd_resp_writer *writer, size_t count)
{
	write_header(writer, writer->protocol == 2 ? '*' : '~', count);
}

void pd_resp_write_push(struct pd_resp_writer *writer, size_t count)
{
	write_header(writer, writer->protocol == 2 ? '*' : '>', count);
}

void pd_resp_write_raw(struct pd_resp_writer *writer, struct pd_slice bytes)
{
	uint8_t *to = bytes.size > 0 ? reserve(writer, bytes.size) : NULL;

	if (to != NULL)
		commit(writer, put_bytes(to, bytes.data, bytes.size));
}
