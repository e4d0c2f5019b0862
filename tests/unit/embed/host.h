/* A directory of its own for each test, opened through the public interface. */
#ifndef PD_TESTS_UNIT_EMBED_HOST_H
#define PD_TESTS_UNIT_EMBED_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "perdure.h"

struct host {
	char path[512];
	struct perdure_options options;
	struct perdure *db;
	struct perdure_session *session;
	struct perdure_session *other; /* for whoever comes in between */
	struct perdure_error err;
};

#define ACTOR perdure_text("user:42")

/* cmocka's setup and teardown: *state is a struct host. On disk, or in memory. */
int host_setup(void **state);
int host_setup_memory(void **state);
int host_teardown(void **state);
void host_open(struct host *host);
void host_close(struct host *host);
void host_remove(const char *path);

/* They fail the test on an error. */
void host_put(struct host *host, struct perdure_session *session, const char *key, const char *value);
/* "" if it is not there. The text is good until the next call. */
const char *host_get(struct host *host, struct perdure_session *session, const char *key);
void host_begin(struct host *host, struct perdure_session *session);
void host_commit(struct host *host, struct perdure_session *session);
/* "a=1 b=2", and a hash as "h#2". */
const char *host_scan(struct host *host, struct perdure_session *session, const struct perdure_range *range);

#define assert_ok(host, call)                                                                         \
	do {                                                                                          \
		int result_ = (call);                                                                 \
		if (result_ != 0)                                                                     \
			fail_msg("%s: %s (%s)", #call, perdure_code_name(result_), (host)->err.text); \
	} while (0)
/* It is refused with this code, and says why. */
#define assert_refused(host, call, wanted)                                                 \
	do {                                                                               \
		int result_;                                                               \
		(host)->err.text[0] = '\0';                                                \
		result_ = (call);                                                          \
		if (result_ != (wanted))                                                   \
			fail_msg("%s: %s, not %s (%s)", #call, perdure_code_name(result_), \
				 perdure_code_name(wanted), (host)->err.text);             \
		assert_int_equal((host)->err.code, wanted);                                \
		assert_true((host)->err.text[0] != '\0');                                  \
	} while (0)

#endif
