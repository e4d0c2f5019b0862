/* A process that holds a directory is killed, again and again: what it was told is durable is there. */
#include "host.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Write until killed, and tell of each write when it is acknowledged. */
static void write_and_tell(const char *path, int pipe)
{
	struct perdure_session *session;
	struct perdure *db;
	char key[16];

	if (perdure_open(path, NULL, &db, NULL) != 0 || perdure_session_new(db, NULL, &session, NULL) != 0)
		_exit(1);
	for (uint32_t i = 0;; i++) {
		(void)snprintf(key, sizeof key, "%08u", (unsigned)i);
		if (perdure_begin(session, NULL, NULL) != 0 ||
		    perdure_put(session, ACTOR, perdure_text(key), perdure_text("left"), NULL) != 0 ||
		    perdure_put(session, perdure_text("user:43"), perdure_text(key), perdure_text("right"),
				NULL) != 0 ||
		    perdure_commit(session, NULL, NULL) != 0 ||
		    write(pipe, &i, sizeof i) != (ssize_t)sizeof i)
			_exit(1);
	}
}

static void test_kill(void **state)
{
	struct host *host = *state;
	char path[600], key[16];
	uint32_t last = 0;

	(void)snprintf(path, sizeof path, "%s/../killed-%d", host->path, (int)getpid());
	for (uint32_t round = 1; round <= 3; round++) {
		struct perdure_session *session;
		struct perdure_value value;
		struct perdure *db;
		uint32_t told;
		int pipes[2], status;
		pid_t child;

		assert_int_equal(pipe(pipes), 0);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			(void)snprintf(key, sizeof key, "%d", pipes[1]);
			(void)execl("/proc/self/exe", "test_embed_kill", path, key, (char *)NULL);
			_exit(127);
		}
		(void)close(pipes[1]);
		while (read(pipes[0], &told, sizeof told) == (ssize_t)sizeof told && told < 40 * round)
			last = told;
		assert_int_equal(kill(child, SIGKILL), 0);
		while (read(pipes[0], &told, sizeof told) == (ssize_t)sizeof told)
			last = told;
		(void)close(pipes[0]);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		assert_true(last >= 39);

		assert_ok(host, perdure_open(path, NULL, &db, &host->err));
		assert_ok(host, perdure_session_new(db, NULL, &session, &host->err));
		for (uint32_t i = 0; i <= last + 1; i++) {
			int left, right;

			(void)snprintf(key, sizeof key, "%08u", (unsigned)i);
			left = perdure_get(session, ACTOR, perdure_text(key), &value, NULL);
			if (left == 0)
				perdure_free(value.data);
			right = perdure_get(session, perdure_text("user:43"), perdure_text(key), &value,
					    NULL);
			if (right == 0)
				perdure_free(value.data);
			assert_int_equal(left, right);
			if (i <= last)
				assert_int_equal(left, 0);
		}
		perdure_session_free(session);
		assert_ok(host, perdure_close(db, &host->err));
	}
	host_remove(path);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kill, host_setup, host_teardown),
	};

	/* The child of the test: this program again, so that it has no threads but its own. */
	if (argc == 3)
		write_and_tell(argv[1], (int)strtol(argv[2], NULL, 10));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
