#include "cli/info_text.h"

#include <stddef.h>
#include <string.h>

/* Digits at the front; what follows them does not matter. */
static uint64_t number_at(struct pd_slice text)
{
	uint64_t number = 0;

	for (size_t i = 0; i < text.size && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
		uint64_t digit = (uint64_t)text.data[i] - '0';

		if (number > (UINT64_MAX - digit) / 10)
			return UINT64_MAX;
		number = number * 10 + digit;
	}
	return number;
}

/* The line at *at, without its end; *at goes behind it. */
static bool next_line(struct pd_slice info, size_t *at, struct pd_slice *ret_line)
{
	const uint8_t *from = info.data + *at, *end;
	size_t size;

	if (*at >= info.size)
		return false;
	end = memchr(from, '\n', info.size - *at);
	size = end != NULL ? (size_t)(end - from) : info.size - *at;
	*at += size + (end != NULL);
	if (size > 0 && from[size - 1] == '\r')
		size--;
	*ret_line = pd_slice(from, size);
	return true;
}

bool pd_info_next(struct pd_slice info, const char *prefix, size_t *at, struct pd_slice *ret_name,
		  struct pd_slice *ret_value)
{
	size_t prefix_size = strlen(prefix);
	struct pd_slice line;

	while (next_line(info, at, &line)) {
		const uint8_t *colon = line.size > 0 ? memchr(line.data, ':', line.size) : NULL;
		size_t name_size;

		if (colon == NULL || !pd_slice_starts_with(line, pd_slice_string(prefix)))
			continue;
		name_size = (size_t)(colon - line.data);
		if (name_size < prefix_size)
			continue;
		*ret_name = pd_slice(line.data + prefix_size, name_size - prefix_size);
		*ret_value = pd_slice(colon + 1, line.size - name_size - 1);
		return true;
	}
	return false;
}

struct pd_slice pd_info_value(struct pd_slice info, const char *name)
{
	struct pd_slice rest, value;
	size_t at = 0;

	while (pd_info_next(info, name, &at, &rest, &value))
		if (rest.size == 0)
			return value;
	return pd_slice(NULL, 0);
}

uint64_t pd_info_number(struct pd_slice info, const char *name)
{
	return number_at(pd_info_value(info, name));
}

/* Field by field: *text begins with the next one afterwards. */
static bool next_field(struct pd_slice *text, struct pd_slice *ret_name, struct pd_slice *ret_value)
{
	const uint8_t *comma = text->size > 0 ? memchr(text->data, ',', text->size) : NULL;
	size_t size = comma != NULL ? (size_t)(comma - text->data) : text->size;
	const uint8_t *equals = size > 0 ? memchr(text->data, '=', size) : NULL;

	if (equals == NULL)
		return false;
	*ret_name = pd_slice(text->data, (size_t)(equals - text->data));
	*ret_value = pd_slice(equals + 1, size - ret_name->size - 1);
	*text = pd_slice(text->data + size + (comma != NULL), text->size - size - (comma != NULL));
	return true;
}

uint64_t pd_info_field(struct pd_slice value, const char *name)
{
	struct pd_slice field, number;

	while (next_field(&value, &field, &number))
		if (pd_slice_equal(field, pd_slice_string(name)))
			return number_at(number);
	return 0;
}

void pd_info_histogram(struct pd_slice info, const char *name, struct pd_histogram *ret_histogram)
{
	struct pd_slice value = pd_info_value(info, name), field, number;

	*ret_histogram = (struct pd_histogram){ 0 };
	while (next_field(&value, &field, &number)) {
		if (pd_slice_equal(field, pd_slice_string("count")))
			ret_histogram->count = number_at(number);
		else if (pd_slice_equal(field, pd_slice_string("sum")))
			ret_histogram->sum = number_at(number);
		else if (field.size > 0 && field.data[0] >= '0' && field.data[0] <= '9' &&
			 number_at(field) <= PD_HISTOGRAM_BOUNDS)
			ret_histogram->buckets[number_at(field)] = number_at(number);
	}
}
