#include "must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void die(const char *format, ...)
{
	va_list list;

	fprintf(stderr, "states: ");
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, "\n");
	exit(2);
}

void *must_resize(void *old, size_t size)
{
	void *memory = realloc(old, size == 0 ? 1 : size);

	if (memory == NULL)
		die("out of memory");
	return memory;
}

void *must_zeroed(size_t count, size_t size)
{
	void *memory = calloc(count == 0 ? 1 : count, size);

	if (memory == NULL)
		die("out of memory");
	return memory;
}

char *must_print(const char *format, ...)
{
	va_list list;
	char *text = NULL;

	va_start(list, format);
	if (vasprintf(&text, format, list) < 0)
		die("out of memory");
	va_end(list);
	return text;
}
