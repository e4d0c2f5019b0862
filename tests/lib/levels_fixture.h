/* Levels of one backend on one machine, for the contract's tests. */
#ifndef PD_TESTS_LEVELS_FIXTURE_H
#define PD_TESTS_LEVELS_FIXTURE_H

#include "lib/levels_model.h"
#include "os/os.h"
#include "os/sim.h"
#include "store/levels.h"

/* Make a call that must succeed; it gives `why` for its error. */
#define check(call)                                     \
	do {                                            \
		struct pd_error check_err = { 0 };      \
		struct pd_error *why = &check_err;      \
		int check_rc = (call);                  \
		if (check_rc != 0)                      \
			fail_msg("%s", check_err.text); \
	} while (false)

struct levels_fixture {
	struct pd_os *os;
	char *root; /* an empty directory */
	bool simulated;
	enum pd_levels_kind kind;
	unsigned trigger;         /* of compaction, from the next opening on */
	struct pd_levels *levels; /* of "<root>/levels", NULL: closed */
	uint64_t lsn;             /* of the last batch */
	struct pd_error err;
};

int setup_plain_sim(void **state);
int setup_plain_real(void **state);
int setup_rocksdb(void **state);
int teardown_levels(void **state);

/* A path under the root; four may be in use at a time. */
const char *path_of(const struct levels_fixture *fixture, const char *name);
/* Open, or make. The test is skipped where the build has no such backend. */
void open_levels(struct levels_fixture *fixture);
void close_levels(struct levels_fixture *fixture);
void reopen_levels(struct levels_fixture *fixture);
/* Others of the same backend that are there. */
int open_other(struct levels_fixture *fixture, const char *name, bool create, struct pd_levels **ret_levels,
	       struct pd_error *err);

/* The next position. */
struct pd_log_position next_position(struct levels_fixture *fixture);
struct pd_levels_batch *new_batch(struct levels_fixture *fixture);
void put(struct pd_levels_batch *batch, const char *key, const char *value);
void delete_key(struct pd_levels_batch *batch, const char *key);
void delete_range(struct pd_levels_batch *batch, const char *from, const char *to);
/* Finish, commit, free. */
void commit(struct levels_fixture *fixture, struct pd_levels_batch *batch);
/* Draw a batch, commit it, and let the model follow. */
void commit_plan(struct levels_fixture *fixture, uint64_t seed, const struct plan_options *options,
		 struct levels_model *model);

/* NULL: it is not there. */
void expect(struct levels_fixture *fixture, const char *key, const char *value);
/* What a scan finds: "key=value key=value …" */
void expect_scan(struct levels_fixture *fixture, const char *from, const char *to, const char *text);
void expect_model(struct levels_fixture *fixture, struct pd_levels *levels, const struct levels_model *model,
		  const struct plan_options *options);

/* The names of the files that hold data, not just a position: 4 KiB at least. */
struct pd_os_names data_files(const struct levels_fixture *fixture);
/* And with the small ones. */
struct pd_os_names all_files(const struct levels_fixture *fixture);

#define LEVELS_TEST(test, setup)                                                       \
	{                                                                              \
		.name = #test " (" #setup ")", .test_func = test, .setup_func = setup, \
		.teardown_func = teardown_levels                                       \
	}
#define ALL_LEVELS(test)                                                         \
	LEVELS_TEST(test, setup_plain_sim), LEVELS_TEST(test, setup_plain_real), \
		LEVELS_TEST(test, setup_rocksdb)

#endif
