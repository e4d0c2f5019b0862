/* A machine, real or simulated, and an empty directory on it, for the contract's tests. */
#ifndef PD_TESTS_OS_FIXTURE_H
#define PD_TESTS_OS_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

struct fixture {
	struct pd_os *os;
	char *root; /* an empty directory */
	bool simulated;
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

enum { READ_WRITE_CREATE = PD_OS_READ | PD_OS_WRITE | PD_OS_CREATE };

int setup_real(void **state);
int setup_sim(void **state);
/* Whole pages torn, nothing but buffered synchronous I/O. */
int setup_sim_plain(void **state);
int teardown(void **state);

/* A path in the fixture's directory; four may be in use at a time. */
const char *path_of(const struct fixture *fixture, const char *name);
struct pd_os_file *open_file(const struct fixture *fixture, const char *name, int flags);
void write_text(struct pd_os_file *file, const char *text, uint64_t offset);
void expect_text(struct pd_os_file *file, const char *text);
void create_with(const struct fixture *fixture, const char *name, const char *text);
void expect_file(const struct fixture *fixture, const char *name, const char *text);
uint64_t size_of(const struct fixture *fixture, const char *name);
uint64_t id_of(const struct fixture *fixture, const char *name);

#define CONTRACT(test, setup)                                                          \
	{                                                                              \
		.name = #test " (" #setup ")", .test_func = test, .setup_func = setup, \
		.teardown_func = teardown                                              \
	}
#define ALL_MACHINES(test) \
	CONTRACT(test, setup_real), CONTRACT(test, setup_sim), CONTRACT(test, setup_sim_plain)

#endif
