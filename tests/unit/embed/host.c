#include "host.h"

#include <ftw.h>
#include <unistd.h>

/* RocksDB is not built for ThreadSanitizer, nor is what it compresses with: what goes on inside of them looks like races. */
#ifdef __SANITIZE_THREAD__
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:librocksdb.so\nrace:librocksdb.so\n"
	       "called_from_lib:libzstd.so\nrace:libzstd.so\n";
}
#endif

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
	(void)info;
	(void)kind;
	(void)walk;
	return remove(path);
}

void host_remove(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int set_up(void **state, unsigned flags)
{
	const struct perdure_options options = PERDURE_OPTIONS_INIT;
	const char *parent = getenv("TMPDIR");
	struct host *host = calloc(1, sizeof *host);

	assert_non_null(host);
	(void)snprintf(host->path, sizeof host->path, "%s/embed-XXXXXX", parent != NULL ? parent : "/tmp");
	if ((flags & PERDURE_OPEN_IN_MEMORY) == 0)
		assert_non_null(mkdtemp(host->path));
	host->options = options;
	host->options.flags = flags;
	host->options.memory_budget_bytes = (uint64_t)64 << 20;
	host_open(host);
	*state = host;
	return 0;
}

int host_setup(void **state)
{
	return set_up(state, 0);
}

int host_setup_memory(void **state)
{
	return set_up(state, PERDURE_OPEN_IN_MEMORY);
}

void host_open(struct host *host)
{
	assert_ok(host, perdure_open(host->path, &host->options, &host->db, &host->err));
	assert_ok(host, perdure_session_new(host->db, NULL, &host->session, &host->err));
	assert_ok(host, perdure_session_new(host->db, NULL, &host->other, &host->err));
}

void host_close(struct host *host)
{
	struct perdure *db = host->db;

	perdure_session_free(host->session);
	perdure_session_free(host->other);
	host->session = NULL;
	host->other = NULL;
	host->db = NULL;
	assert_ok(host, perdure_close(db, &host->err));
}

int host_teardown(void **state)
{
	struct host *host = *state;

	host_close(host);
	if ((host->options.flags & PERDURE_OPEN_IN_MEMORY) == 0)
		host_remove(host->path);
	free(host);
	return 0;
}

void host_put(struct host *host, struct perdure_session *session, const char *key, const char *value)
{
	assert_ok(host, perdure_put(session, ACTOR, perdure_text(key), perdure_text(value), &host->err));
}

const char *host_get(struct host *host, struct perdure_session *session, const char *key)
{
	static char text[256];
	struct perdure_value value;
	int result = perdure_get(session, ACTOR, perdure_text(key), &value, &host->err);

	if (result == PERDURE_NOT_FOUND)
		return "";
	assert_ok(host, result);
	assert_true(value.size < sizeof text);
	memcpy(text, value.data, value.size + 1);
	perdure_free(value.data);
	return text;
}

void host_begin(struct host *host, struct perdure_session *session)
{
	assert_ok(host, perdure_begin(session, NULL, &host->err));
}

void host_commit(struct host *host, struct perdure_session *session)
{
	assert_ok(host, perdure_commit(session, NULL, &host->err));
}

const char *host_scan(struct host *host, struct perdure_session *session, const struct perdure_range *range)
{
	static char text[4096];
	struct perdure_scan *scan;
	struct perdure_item item;
	size_t size = 0;
	int result;

	text[0] = '\0';
	assert_ok(host, perdure_scan_keys(session, ACTOR, range, &scan, &host->err));
	while ((result = perdure_scan_next(scan, &item, &host->err)) == 0) {
		size += (size_t)snprintf(text + size, sizeof text - size, "%s%.*s", size > 0 ? " " : "",
					 (int)item.key.size, (const char *)item.key.data);
		if (item.value.data != NULL)
			size += (size_t)snprintf(text + size, sizeof text - size, "=%.*s",
						 (int)item.value.size, (const char *)item.value.data);
		assert_true(size < sizeof text);
	}
	assert_int_equal(result, PERDURE_END);
	perdure_scan_free(scan);
	return text;
}
