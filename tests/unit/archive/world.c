#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "engine/manifest.h"
#include "log/verify.h"
#include "provider/place.h"

void arc_init(struct arc *arc)
{
	struct pd_error err;

	memset(arc, 0, sizeof *arc);
	host_init(&arc->host);
	arc->host.options.memtable_bytes = 64 * 1024;
	arc->host.options.large_min = 1 << 20;
	assert_int_equal(pd_os_mkdir(arc->host.os, ARCHIVE, &err), 0);
	assert_int_equal(pd_os_sync_directory(arc->host.os, ".", &err), 0);
}

void arc_done(struct arc *arc)
{
	pd_archive_free(arc->archive);
	host_done(&arc->host);
}

static int try_archive(struct arc *arc)
{
	const struct pd_object_place place = { .address = ARCHIVE };
	struct pd_archive_options options = { .os = arc->host.os,
					      .engine = arc->host.engine,
					      .place = &place,
					      .interval_ms = 1000,
					      .retention_s = arc->retention_s,
					      .disk_limit = arc->disk_limit };

	return pd_archive_new(&options, &arc->archive, &arc->host.err);
}

void arc_open(struct arc *arc)
{
	host_open(&arc->host);
	if (try_archive(arc) != 0)
		fail_msg("no archive: %s", arc->host.err.text);
}

void arc_close(struct arc *arc)
{
	pd_archive_finish(arc->archive, 5000000);
	pd_archive_free(arc->archive);
	arc->archive = NULL;
	host_close(&arc->host);
}

void arc_crash(struct arc *arc, bool power)
{
	pd_archive_free(arc->archive);
	arc->archive = NULL;
	host_crash(&arc->host, power);
}

int arc_write(struct arc *arc, unsigned count)
{
	char command[400];

	for (unsigned i = 0; i < count; i++) {
		int size = snprintf(command, sizeof command, "SET key%u ", arc->written % 5000);

		for (int j = 0; j < 280; j++)
			command[size++] = (char)('a' + (arc->written * 7 + (unsigned)j * j) % 26);
		command[size] = '\0';
		int result = host_run(&arc->host, command);

		for (unsigned tries = 0; result == PD_AGAIN && tries < 1000; tries++) {
			host_advance_ms(&arc->host, 10);
			if (pd_engine_step(arc->host.engine) != 0)
				break;
			result = host_run(&arc->host, command);
		}
		if (result != 0)
			return result;
		if (pd_engine_step(arc->host.engine) != 0)
			return PD_FENCED;
		arc->written++;
	}
	return 0;
}

void arc_tick(struct arc *arc)
{
	host_advance_ms(&arc->host, 700);
	(void)!pd_engine_step(arc->host.engine);
	pd_archive_tick(arc->archive);
	host_advance_ms(&arc->host, 30);
	pd_archive_tick(arc->archive);
}

struct pd_archive_status arc_status(const struct arc *arc)
{
	struct pd_archive_status status;

	pd_archive_status(arc->archive, &status);
	return status;
}

bool arc_settle(struct arc *arc)
{
	for (unsigned i = 0; i < 200; i++) {
		struct pd_archive_status status;

		arc_tick(arc);
		status = arc_status(arc);
		if (status.state == PD_ARCHIVE_FOLLOWING && !status.working &&
		    status.archived_lsn == status.durable_lsn && status.durable_lsn == host_lsn(&arc->host))
			return true;
	}
	return false;
}

struct pd_object_store *arc_store(struct arc *arc)
{
	const struct pd_object_place place = { .address = ARCHIVE };
	struct pd_object_store *store;

	if (pd_object_place_open(arc->host.os, &place, "archive", &store, &arc->host.err) != 0)
		fail_msg("no store: %s", arc->host.err.text);
	return store;
}

struct pd_archive_log arc_log(struct arc *arc, const char *data_directory)
{
	struct pd_archive_log log = { 0 };
	struct pd_manifest manifest;

	assert_int_equal(pd_manifest_read(arc->host.os, data_directory, &manifest, &arc->host.err), 0);
	memcpy(log.cluster_id, manifest.cluster_id, sizeof log.cluster_id);
	return log;
}

int arc_fetch(struct arc *arc, const char *directory, struct pd_log_position from, uint64_t to_lsn,
	      struct pd_archive_fetched *ret_fetched, struct pd_error *err)
{
	char logs[200], log[200];
	struct pd_archive_fetch fetch = { .os = arc->host.os,
					  .store = arc_store(arc),
					  .log = arc_log(arc, "data"),
					  .directory = log,
					  .from = from,
					  .to_lsn = to_lsn };
	int result;

	(void)snprintf(logs, sizeof logs, "%s/log", directory);
	(void)snprintf(log, sizeof log, "%s/log/0000", directory);
	assert_int_equal(pd_os_remove_tree(arc->host.os, directory, err), 0);
	assert_int_equal(pd_os_mkdir(arc->host.os, directory, err), 0);
	assert_int_equal(pd_os_mkdir(arc->host.os, logs, err), 0);
	result = pd_archive_fetch(&fetch, ret_fetched, err);
	pd_object_store_free(fetch.store);
	if (result != 0)
		return result;
	assert_int_equal(pd_archive_fetch_finish(&fetch, ret_fetched, directory, err), 0);
	return 0;
}

/* Every byte of it, by those who know nothing of archives. */
static void verify(struct arc *arc, const char *directory)
{
	char path[200];
	struct pd_log_options options = { .os = arc->host.os, .directory = path };
	struct pd_archive_log log = arc_log(arc, directory);
	struct pd_log_verifier *verifier;
	struct pd_log_sight sight;
	struct pd_error err;
	int result;

	(void)snprintf(path, sizeof path, "%s/log/0000", directory);
	memcpy(options.cluster_id, log.cluster_id, sizeof log.cluster_id);
	assert_int_equal(pd_log_verifier_new(&options, &verifier, &err), 0);
	while ((result = pd_log_verifier_next(verifier, &sight, &err)) == 0)
		if (sight.kind == PD_SIGHT_DAMAGE)
			fail_msg("damage in what was fetched: %s", sight.damage.text);
	assert_int_equal(result, PD_END);
	pd_log_verifier_free(verifier);
}

void arc_expect_rebuilt(struct arc *arc, uint64_t to_lsn, struct pd_hash128 hash)
{
	struct pd_archive_fetched fetched;
	struct host other = arc->host;
	struct pd_hash128 rebuilt;
	struct pd_error err;
	int result = arc_fetch(arc, "rebuilt", (struct pd_log_position){ 0, 0 }, to_lsn, &fetched, &err);

	if (result != 0)
		fail_msg("cannot fetch: %s", err.text);
	verify(arc, "rebuilt");
	other.engine = NULL;
	memset(other.sessions, 0, sizeof other.sessions);
	pd_buffer_init(&other.reply, 1 << 20);
	other.options.data_directory = "rebuilt";
	host_open(&other);
	assert_int_equal(other.recovery.damage_count, 0);
	rebuilt = host_hash(&other, "main");
	assert_same_hash(rebuilt, hash);
	host_close(&other);
	pd_buffer_done(&other.reply);
	assert_int_equal(pd_os_remove_tree(arc->host.os, "rebuilt", &err), 0);
}

void arc_copy(struct arc *arc, const char *from, const char *to)
{
	struct pd_os *os = arc->host.os;
	struct pd_os_names names;
	struct pd_error err;

	assert_int_equal(pd_os_mkdir(os, to, &err), 0);
	assert_int_equal(pd_os_list(os, from, &names, &err), 0);
	for (size_t i = 0; i < names.count; i++) {
		char *source = pd_asprintf("%s/%s", from, names.names[i]);
		char *target = pd_asprintf("%s/%s", to, names.names[i]);
		struct pd_os_file_info info;
		struct pd_os_file *file;

		assert_int_equal(pd_os_info(os, source, &info, &err), 0);
		if (info.is_directory) {
			arc_copy(arc, source, target);
		} else {
			uint8_t *data = pd_malloc(info.size + 1);
			size_t size;

			assert_int_equal(pd_os_open(os, source, PD_OS_READ, &file, &err), 0);
			assert_int_equal(pd_os_read(file, data, info.size, 0, &size, &err), 0);
			pd_os_close(file);
			assert_int_equal(pd_os_open(os, target, PD_OS_WRITE | PD_OS_CREATE, &file, &err), 0);
			if (size > 0)
				assert_int_equal(pd_os_write(file, data, size, 0, &err), 0);
			assert_int_equal(pd_os_datasync(file, &err), 0);
			pd_os_close(file);
			pd_free(data);
		}
		pd_free(source);
		pd_free(target);
	}
	pd_os_names_done(&names);
	assert_int_equal(pd_os_sync_directory(os, to, &err), 0);
}

void arc_load(struct arc *arc, struct pd_archive_catalog *catalog)
{
	struct pd_archive_log log = arc_log(arc, "data");
	struct pd_object_store *store = arc_store(arc);

	pd_archive_catalog_init(catalog);
	assert_int_equal(pd_archive_catalog_load(catalog, store, &log, 0, &arc->host.err), 0);
	pd_object_store_free(store);
}
