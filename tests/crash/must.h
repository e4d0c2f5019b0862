/* What must work here: or the program says why and exits with 2, which is neither a pass nor a violation. */
#ifndef PD_TESTS_CRASH_MUST_H
#define PD_TESTS_CRASH_MUST_H

#include <stddef.h>

void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void *must_resize(void *old, size_t size);
void *must_zeroed(size_t count, size_t size);
char *must_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Make room for one more element of an array. */
#define MUST_GROW(array, count, room)                                             \
	do {                                                                      \
		if ((count) == (room)) {                                          \
			(room) = (room) == 0 ? 16 : 2 * (room);                   \
			(array) = must_resize((array), (room) * sizeof *(array)); \
		}                                                                 \
	} while (0)

#endif
