#include "workload.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "record.h"

uint64_t workload_last_mark(const struct workload_case *given, size_t count, const char *word,
			    uint64_t otherwise)
{
	size_t size = strlen(word);

	while (count-- > 0) {
		const char *text = given->trace->marks[count].text;

		if (strncmp(text, word, size) == 0 && text[size] == ' ')
			return strtoull(text + size + 1, NULL, 10);
	}
	return otherwise;
}

uint64_t workload_found_at_start(const struct workload_case *given)
{
	for (size_t i = 0; i < given->trace->mark_count; i++)
		if (strncmp(given->trace->marks[i].text, "recovered ", 10) == 0)
			return strtoull(given->trace->marks[i].text + 10, NULL, 10);
	return 0;
}

void workload_mark(const char *format, ...)
{
	char text[200];
	va_list list;

	if (pd_record_mark == NULL)
		return;
	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	pd_record_mark(text);
}

bool workload_broken(char *text, size_t text_size, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(text, text_size, format, list);
	va_end(list);
	return false;
}
