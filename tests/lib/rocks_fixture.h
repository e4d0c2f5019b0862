/* RocksDB levels in a directory of their own, for the tests that are about RocksDB: keys and values are strings. */
#ifndef PD_TESTS_ROCKS_FIXTURE_H
#define PD_TESTS_ROCKS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/os.h"
#include "store/levels.h"

struct fixture {
	struct pd_os *os;
	char root[256], directory[300], copy[300];
	struct pd_levels_options options;
	struct pd_levels *levels;
	struct pd_levels_batch *batch;
	uint64_t lsn;
};

/* Make a call that must succeed; it gives `why` for its error. */
#define check(call)                                     \
	do {                                            \
		struct pd_error check_err = { 0 };      \
		struct pd_error *why = &check_err;      \
		int check_rc = (call);                  \
		if (check_rc != 0)                      \
			fail_msg("%s", check_err.text); \
	} while (false)

int rocks_setup(void **state);
int rocks_teardown(void **state);
void reopen(struct fixture *fixture);

/* ---- batches ---- */
void begin(struct fixture *fixture);
void put(struct fixture *fixture, const char *key, const char *value);
void delete_range(struct fixture *fixture, const char *from, const char *to);
void commit(struct fixture *fixture);
/* "<prefix>000000" and so on, in a batch of their own. */
void put_many(struct fixture *fixture, const char *prefix, unsigned count);

/* ---- reading ---- */
/* "": not there. */
void must_be(struct pd_levels *levels, const char *key, const char *value);
int get_code(struct pd_levels *levels, const char *key, struct pd_error *err);
/* The number of keys in [from, to), or an error. */
int count(struct pd_levels *levels, const char *from, const char *to, struct pd_error *err);

/* How many names in a folder end with `end`; *ret_path is one of them. */
unsigned files_in(const char *directory, const char *end, char *ret_path, size_t size);

/* What verify found. */
struct found {
	unsigned count;
	char file[64], text[200], first[64], last[64];
	uint64_t done, total;
};
bool report(void *context, const struct pd_levels_damage *damage); /* into a struct found */
struct found verify(struct fixture *fixture);

#endif
