/* docs/format/log.md is enough to read a log: what a reader in Python makes of the files, written from that page alone, is what was
 * written. PERDURE_READ_LOG names the script; without it, it is looked for from the top of the tree. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "lib/log_book.h"
#include "os/os.h"

static const uint8_t cluster_id[PD_CLUSTER_ID_SIZE] = "\x00\xff"
						      "0123456789abcd";

struct fixture {
	struct pd_os *os;
	char *directory;
	struct pd_log_options options;
	struct pd_log *log;
	struct log_book book;
	uint64_t from_lsn;
};

static int setup(void **state)
{
	const char *directory = getenv("TMPDIR");
	struct fixture *fixture = calloc(1, sizeof *fixture);

	fixture->directory = pd_asprintf("%s/perdure-format-XXXXXX", directory != NULL ? directory : "/tmp");
	assert_non_null(mkdtemp(fixture->directory));
	check(pd_os_real_new(&fixture->os, why));
	fixture->options = (struct pd_log_options){ .os = fixture->os,
						    .directory = fixture->directory,
						    .shard = 5,
						    .segment_bytes = PD_LOG_SEGMENT_BYTES_MIN,
						    .spare_segments = 2 };
	memcpy(fixture->options.cluster_id, cluster_id, sizeof cluster_id);
	fixture->from_lsn = 1;
	book_init(&fixture->book, 3);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	struct pd_os_names names;

	(void)pd_log_close(fixture->log, NULL);
	book_done(&fixture->book);
	check(pd_os_list(fixture->os, fixture->directory, &names, why));
	for (size_t i = 0; i < names.count; i++) {
		char *path = pd_asprintf("%s/%s", fixture->directory, names.names[i]);

		check(pd_os_unlink(fixture->os, path, why));
		pd_free(path);
	}
	pd_os_names_done(&names);
	(void)rmdir(fixture->directory);
	pd_os_free(fixture->os);
	pd_free(fixture->directory);
	free(fixture);
	return 0;
}

/* ---- one line a record, as the script prints it ---- */

static void print(struct pd_buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct pd_buffer *out, const char *format, ...)
{
	char text[256];
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	assert_int_equal(pd_buffer_append(out, text, (size_t)size), 0);
}

static void print_hex(struct pd_buffer *out, struct pd_slice bytes)
{
	for (size_t i = 0; i < bytes.size; i++)
		print(out, "%02x", bytes.data[i]);
}

static void print_extension(struct pd_buffer *out, unsigned tag, struct pd_slice bytes,
			    const char **separator)
{
	if (bytes.size == 0)
		return;
	print(out, "%s%u:", *separator, tag);
	print_hex(out, bytes);
	*separator = ",";
}

static void print_record(struct pd_buffer *out, const struct pd_record *record)
{
	const struct pd_record_head *head = &record->head;
	const char *separator = "";
	uint64_t epoch[2] = { head->old_epoch, head->old_last_lsn };
	struct pd_effect_walk walk;
	struct pd_effect effect;

	print(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %d %d %" PRIu64 " %" PRIu64 " %" PRIu64 " [",
	      record->epoch, record->lsn, head->time_us, head->kind, head->level, head->tenant, head->actor,
	      head->client);
	print_extension(out, PD_EXTENSION_PRINCIPAL, head->principal, &separator);
	print_extension(out, PD_EXTENSION_CLIENT, head->client_text, &separator);
	print_extension(out, PD_EXTENSION_REQUEST_ID, head->request_id, &separator);
	print_extension(out, PD_EXTENSION_IDEMPOTENCY, head->idempotency_key, &separator);
	if (head->kind == PD_RECORD_EPOCH)
		print_extension(out, PD_EXTENSION_EPOCH, pd_slice(epoch, sizeof epoch), &separator);
	print(out, "]");
	pd_effect_walk_init(&walk, record);
	while (pd_effect_next(&walk, &effect) == 0) {
		print(out, " %d/%d/%" PRIu64 "/", effect.kind, effect.type, effect.expires_us);
		print_hex(out, effect.key);
		print(out, "/%08x:%zu", pd_crc32c(0, effect.value.data, effect.value.size),
		      effect.value.size);
	}
	print(out, "\n");
}

/* What the log's own reader sees, checked against what was written. */
static void print_log(struct fixture *fixture, struct pd_buffer *out)
{
	struct pd_log_reader *reader;
	struct pd_log_damage damage;
	struct pd_record record;

	check(pd_log_reader_new(fixture->log, fixture->from_lsn, &reader, why));
	while (pd_log_reader_next(reader, &record, &damage, NULL) == 0) {
		assert_true(book_same(&fixture->book, &record));
		print_record(out, &record);
	}
	pd_log_reader_free(reader);
}

static void run_script(struct fixture *fixture, struct pd_buffer *out)
{
	const char *script = getenv("PERDURE_READ_LOG");
	char cluster[2 * PD_CLUSTER_ID_SIZE + 1], chunk[4096];
	char *command;
	FILE *pipe;
	size_t size;

	if (script == NULL)
		script = "tests/wire/read_log.py";
	for (size_t i = 0; i < PD_CLUSTER_ID_SIZE; i++)
		(void)snprintf(cluster + 2 * i, 3, "%02x", cluster_id[i]);
	command = pd_asprintf("python3 '%s' --log '%s' --cluster %s --shard 5", script, fixture->directory,
			      cluster);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	while ((size = fread(chunk, 1, sizeof chunk, pipe)) > 0)
		assert_int_equal(pd_buffer_append(out, chunk, size), 0);
	assert_int_equal(pclose(pipe), 0);
	pd_free(command);
}

static void expect_script_agrees(struct fixture *fixture)
{
	struct pd_buffer ours, theirs;

	pd_buffer_init(&ours, 1 << 26);
	pd_buffer_init(&theirs, 1 << 26);
	print_log(fixture, &ours);
	run_script(fixture, &theirs);
	assert_true(ours.size > 100);
	assert_int_equal(theirs.size, ours.size);
	assert_memory_equal(theirs.data, ours.data, ours.size);
	pd_buffer_done(&ours);
	pd_buffer_done(&theirs);
}

/* ---- the test ---- */

static void start(struct fixture *fixture)
{
	struct pd_log_end end;

	check(pd_log_file_open(&fixture->options, &fixture->log, why));
	if (!book_read(&fixture->book, fixture->log, fixture->from_lsn, &end))
		fail_msg("%s", fixture->book.problem);
	check(book_begin(&fixture->book, fixture->log, why));
}

static void write_some(struct fixture *fixture)
{
	for (unsigned i = 0; i < 30; i++)
		book_write(&fixture->book, fixture->log,
			   book_group(&fixture->book, 1 + (unsigned)book_random(&fixture->book, 9),
				      i % 11 == 5 ? 8000 : 600),
			   i % 3 == 0 ? PD_LOG_WRITE : PD_LOG_SYNC);
}

static void a_reader_written_from_the_page_agrees(void **state)
{
	struct fixture *fixture = *state;
	struct pd_log_group *group;

	start(fixture);
	write_some(fixture);
	group = book_group(&fixture->book, 0, 0);
	book_record(&fixture->book, group, 10);
	book_record(&fixture->book, group, 100000); /* frames over three segments */
	book_record(&fixture->book, group, 0);
	book_write(&fixture->book, fixture->log, group, PD_LOG_SYNC);
	expect_script_agrees(fixture); /* open, its end unused */
	check(pd_log_close(fixture->log, why));
	start(fixture);
	write_some(fixture);
	write_some(fixture);
	/* Trimmed, so that files come to be used again. */
	fixture->from_lsn = fixture->book.count - 20;
	check(pd_log_trim(fixture->log, fixture->from_lsn, why));
	for (unsigned i = 0; i < 3; i++)
		write_some(fixture);
	{
		struct pd_log_reader *reader;
		struct pd_log_damage damage;
		struct pd_record record;

		/* The script begins with the first record there is. */
		check(pd_log_reader_new(fixture->log, 1, &reader, why));
		assert_int_equal(pd_log_reader_next(reader, &record, &damage, NULL), PD_CORRUPT);
		fixture->from_lsn = damage.last_lsn + 1;
		pd_log_reader_free(reader);
	}
	expect_script_agrees(fixture);
	check(pd_log_close(fixture->log, why));
	start(fixture);
	expect_script_agrees(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_reader_written_from_the_page_agrees, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
