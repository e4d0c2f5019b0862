/* What a repository does with its store: pieces are compressed where it helps and go several at a time; lists may be older than what is there. */
#include "vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backup/box.h"
#include "backup/carrier.h"
#include "base/memory.h"
#include "os/sim.h"

static struct pd_os *machine(bool late_tasks)
{
	struct pd_sim_options options = PD_SIM_OPTIONS_DEFAULT;
	struct pd_os *os;

	options.seed = 11;
	options.late_tasks = late_tasks;
	assert_int_equal(pd_os_sim_new(&options, &os, NULL), 0);
	return os;
}

static struct pd_repository *open_repository(struct pd_os *os)
{
	static const uint8_t cluster[PD_CLUSTER_ID_SIZE] = { 1, 2, 3 };
	struct pd_repository *repository;
	struct pd_error err = { 0 };

	if (pd_repository_open_for(os, &PD_REPOSITORY_IN(REPOSITORY), cluster, &repository, &err) != 0)
		fail_msg("%s", err.text);
	return repository;
}

/* ---- pieces ---- */

/* As the carrier does, one by one. */
static int put_piece(struct pd_repository *repository, struct pd_slice content, struct pd_piece *ret_piece,
		     struct pd_piece_stored *ret_stored, struct pd_error *err)
{
	int result = pd_piece_put(repository, content, ret_piece, ret_stored, err);

	return result == 0 ? pd_object_flush(repository->store, err) : result;
}

static void expect_piece(struct pd_os *os, struct pd_repository *repository, struct pd_slice content,
			 bool is_shorter)
{
	struct pd_piece piece, again;
	struct pd_piece_stored stored, twice;
	struct pd_error err = { 0 };
	struct pd_slice back;
	uint64_t bytes;
	char name[PD_PIECE_NAME_SIZE], path[200];

	assert_int_equal(put_piece(repository, content, &piece, &stored, &err), 0);
	assert_int_equal(stored.sent, stored.bytes);
	if (is_shorter)
		assert_true(stored.bytes < content.size);
	else
		assert_int_equal(stored.bytes, PD_BOX_HEAD_SIZE + content.size);
	assert_int_equal(pd_piece_get(repository, &piece, content.size, &back, &err), 0);
	assert_true(pd_slice_equal(back, content));
	assert_int_equal(pd_piece_get(repository, &piece, content.size - 1, &back, &err), PD_CORRUPT);
	assert_int_equal(put_piece(repository, content, &again, &twice, &err), 0);
	assert_memory_equal(&again, &piece, sizeof piece);
	assert_int_equal(twice.sent, 0);
	assert_int_equal(twice.bytes, stored.bytes);
	/* Cut off it counts for nothing, and that is seen before all of it is read. */
	pd_piece_name(&piece, name);
	(void)snprintf(path, sizeof path, REPOSITORY "/%s", name);
	for (uint64_t size = stored.bytes; size-- > 0; size /= 2) {
		struct pd_os_file *file;

		assert_int_equal(pd_os_open(os, path, PD_OS_WRITE, &file, NULL), 0);
		assert_int_equal(pd_os_resize(file, size, NULL), 0);
		pd_os_close(file);
		assert_int_equal(pd_piece_look(repository, &piece, content.size, &bytes, &err), PD_CORRUPT);
		assert_int_equal(put_piece(repository, content, &again, &twice, &err), PD_CORRUPT);
		assert_non_null(strstr(err.text, name));
		assert_non_null(strstr(err.text, "Remove it"));
	}
	assert_int_equal(pd_os_unlink(os, path, NULL), 0);
	assert_int_equal(pd_piece_look(repository, &piece, content.size, &bytes, &err), PD_CORRUPT);
	assert_int_equal(put_piece(repository, content, &again, &twice, &err), 0);
	assert_int_equal(twice.sent, stored.bytes);
}

static void test_pieces(void **state)
{
	static const size_t sizes[] = { 1, 15, 64, 1000, 70000, 3000000, PD_PIECE_SIZE };
	struct pd_os *os = machine(false);
	struct pd_repository *repository = open_repository(os);
	uint8_t *content = malloc(PD_PIECE_SIZE);

	(void)state;
	assert_non_null(content);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		pd_os_random(os, content, sizes[i]);
		expect_piece(os, repository, pd_slice(content, sizes[i]), false);
		memset(content, 'a' + (int)i, sizes[i]);
		expect_piece(os, repository, pd_slice(content, sizes[i]), sizes[i] >= 64);
	}
	/* A part that gets shorter is enough, wherever it begins. */
	for (size_t part = 0; part + PD_PIECE_SIZE / 4 <= PD_PIECE_SIZE; part += PD_PIECE_SIZE / 3) {
		pd_os_random(os, content, PD_PIECE_SIZE);
		memset(content + part, 'z', PD_PIECE_SIZE / 4);
		expect_piece(os, repository, pd_slice(content, PD_PIECE_SIZE), true);
	}
	free(content);
	pd_repository_free(repository);
	pd_os_free(os);
}

/* ---- several at a time ---- */

enum { PIECES = 40 };

struct sending {
	struct pd_os *os;
	struct pd_piece pieces[PIECES];
	bool taken[PIECES], missing[PIECES];
	unsigned count, steps, steps_max;
};

static struct pd_slice content_of(size_t number, uint8_t bytes[1000])
{
	memset(bytes, (int)number / 2, 1000); /* some are twice the same */
	return pd_slice(bytes, 500 + number / 2);
}

static int count_steps(void *context, struct pd_error *err)
{
	struct sending *sending = context;

	if (++sending->steps == sending->steps_max)
		return pd_error_set(err, PD_CANCELLED, "cancelled");
	return 0;
}

static int take(void *context, const struct pd_carried *sent, struct pd_error *err)
{
	struct sending *sending = context;
	uint8_t bytes[1000];

	(void)err;

	assert_int_equal(sent->file, 7);
	assert_false(sending->taken[sent->number]);
	sending->taken[sent->number] = true;
	sending->missing[sent->number] = sent->is_bad;
	if (sent->what == PD_CARRY_GET && !sent->is_bad)
		assert_true(pd_slice_equal(sent->content, content_of(sent->number, bytes)));
	if (sent->is_bad)
		assert_non_null(strstr(sent->why->text, "is missing"));
	sending->pieces[sent->number] = sent->piece;
	sending->count++;
	return 0;
}

static int send_all(struct pd_repository *repository, struct sending *sending, struct pd_error *err)
{
	struct pd_carrier_options options = {
		.repository = repository, .step = count_steps, .take = take, .context = sending
	};
	struct pd_carrier *carrier;
	uint8_t bytes[1000];
	int result = pd_carrier_new(&options, &carrier, err);

	assert_int_equal(result, 0);
	for (size_t i = 0; i < PIECES && result == 0; i++)
		result = pd_carrier_put(carrier, content_of(i, bytes), 7, i, err);
	if (result == 0)
		result = pd_carrier_wait(carrier, err);
	pd_carrier_free(carrier);
	return result;
}

static void test_carrier(void **state)
{
	struct sending sending = { 0 }, looking = { 0 };
	struct pd_os *os = machine(true);
	struct pd_repository *repository = open_repository(os);
	struct pd_carrier_options options = {
		.repository = repository, .step = count_steps, .take = take, .context = &looking
	};
	char name[PD_PIECE_NAME_SIZE];
	struct pd_error err = { 0 };
	struct pd_carrier *carrier;
	struct pd_slice back;
	uint8_t bytes[1000];

	(void)state;
	assert_int_equal(send_all(repository, &sending, &err), 0);
	assert_int_equal(sending.count, PIECES);
	assert_true(sending.steps > 0);
	for (size_t i = 0; i < PIECES; i++) {
		struct pd_slice content = content_of(i, bytes);

		assert_int_equal(pd_piece_get(repository, &sending.pieces[i], content.size, &back, &err), 0);
		assert_true(pd_slice_equal(back, content));
	}
	/* Looked for: two that are the same are gone. */
	pd_piece_name(&sending.pieces[8], name);
	assert_int_equal(pd_object_delete(repository->store, name, &err), 0);
	for (enum pd_carrying what = PD_CARRY_LOOK; what <= PD_CARRY_GET; what++) {
		looking = (struct sending){ 0 };
		assert_int_equal(pd_carrier_new(&options, &carrier, &err), 0);
		for (size_t i = 0; i < PIECES; i++)
			assert_int_equal(
				pd_carrier_ask(carrier, what, &sending.pieces[i], 500 + i / 2, 7, i, &err),
				0);
		assert_int_equal(pd_carrier_wait(carrier, &err), 0);
		pd_carrier_free(carrier);
		assert_int_equal(looking.count, PIECES);
		for (size_t i = 0; i < PIECES; i++)
			assert_int_equal(looking.missing[i], i == 8 || i == 9);
	}
	pd_repository_free(repository);
	pd_os_free(os);
}

/* Ended at any time: the error comes out. What was said to have been put is there when it was not ended. */
static void test_carrier_ends(void **state)
{
	(void)state;
	for (unsigned at = 1; at < 30; at++) {
		struct sending sending = { .steps_max = at };
		struct pd_os *os = machine(true);
		struct pd_repository *repository = open_repository(os);
		struct pd_error err = { 0 };
		struct pd_slice back;
		int result = send_all(repository, &sending, &err);

		assert_true(result == PD_CANCELLED || sending.steps < at);
		for (size_t i = 0; i < PIECES; i++)
			if (sending.taken[i] && result == 0)
				assert_int_equal(pd_piece_get(repository, &sending.pieces[i], 500 + i / 2,
							      &back, &err),
						 0);
		pd_repository_free(repository);
		pd_os_free(os);
	}
}

/* ---- lists that are older than what is there ---- */

enum { FROZEN_MAX = 64 };

struct old_lists {
	struct pd_object_store base;
	struct pd_object_store *inner;
	char *names[FROZEN_MAX];
	size_t count;
	bool are_old;
};

static int old_put(struct pd_object_store *store, const char *name, const struct pd_object_source *source,
		   const struct pd_object_put_options *options, struct pd_error *err)
{
	struct pd_object_store *inner = ((struct old_lists *)store)->inner;

	return inner->ops->put(inner, name, source, options, err);
}

static int old_get(struct pd_object_store *store, const char *name, uint64_t offset, uint64_t size,
		   const struct pd_object_sink *sink, struct pd_error *err)
{
	struct pd_object_store *inner = ((struct old_lists *)store)->inner;

	return inner->ops->get(inner, name, offset, size, sink, err);
}

static int old_head(struct pd_object_store *store, const char *name, uint64_t *ret_size, struct pd_error *err)
{
	struct pd_object_store *inner = ((struct old_lists *)store)->inner;

	return inner->ops->head(inner, name, ret_size, err);
}

static int old_list(struct pd_object_store *store, const char *prefix, const char *after, size_t limit,
		    struct pd_object_page *page, struct pd_error *err)
{
	struct old_lists *lists = (struct old_lists *)store;
	struct pd_object_store *inner = lists->inner;

	if (!lists->are_old)
		return inner->ops->list(inner, prefix, after, limit, page, err);
	for (size_t i = 0; i < lists->count; i++) {
		const char *name = lists->names[i];

		if (strncmp(name, prefix, strlen(prefix)) != 0 || strcmp(name, after) <= 0)
			continue;
		page->entries = pd_grow(page->entries, page->count, &page->capacity, sizeof *page->entries,
					FROZEN_MAX);
		assert_non_null(page->entries);
		page->entries[page->count++] = (struct pd_object_entry){ pd_strdup(name), 1 };
	}
	return 0;
}

static int old_delete(struct pd_object_store *store, const char *name, struct pd_error *err)
{
	struct pd_object_store *inner = ((struct old_lists *)store)->inner;

	return inner->ops->delete (inner, name, err);
}

static const struct pd_object_store_ops old_ops = { .abi = PD_OBJECT_STORE_ABI,
						    .kind = "old",
						    .put = old_put,
						    .get = old_get,
						    .head = old_head,
						    .list = old_list,
						    .delete = old_delete };

static int freeze_name(void *context, const struct pd_object_entry *entry, struct pd_error *err)
{
	struct old_lists *lists = context;

	(void)err;
	assert_true(lists->count < FROZEN_MAX);
	lists->names[lists->count++] = strdup(entry->name);
	return 0;
}

/* From here on its lists are of now. */
static void freeze(struct old_lists *lists, struct pd_repository *repository)
{
	*lists = (struct old_lists){ .base = { .ops = &old_ops, .address = repository->store->address },
				     .inner = repository->store };
	assert_int_equal(pd_repository_each(repository, "", freeze_name, lists, NULL), 0);
	lists->are_old = true;
	repository->store = &lists->base;
}

static void thaw(struct old_lists *lists, struct pd_repository *repository)
{
	for (size_t i = 0; i < lists->count; i++)
		free(lists->names[i]);
	repository->store = lists->inner;
}

/* Two never hold one lease, and who was taken for dead learns of it, however old the lists are that one of them is shown. */
static void test_old_lists(void **state)
{
	struct pd_os *os = machine(false);
	struct pd_repository *one = open_repository(os), *two = open_repository(os);
	struct pd_backup_lease before, first, second;
	struct pd_error err = { 0 };
	struct old_lists lists;

	(void)state;
	assert_int_equal(pd_backup_lease_take(&before, one, NULL, &err), 0);
	pd_backup_lease_end(&before);
	/* Somebody has it whom the list does not know, for as long as he has renewed it. */
	freeze(&lists, two);
	assert_int_equal(pd_backup_lease_take(&first, one, NULL, &err), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pd_backup_lease_take(&second, two, NULL, &err), PD_BUSY);
		pd_sim_advance_us(os, 6000000);
		assert_int_equal(pd_backup_lease_keep(&first, &err), 0);
	}
	thaw(&lists, two);
	/* He is taken for dead, and his own list does not tell. */
	freeze(&lists, one);
	assert_int_equal(pd_backup_lease_take(&second, two, NULL, &err), 0);
	assert_int_equal(pd_backup_lease_prove(&first, &err), PD_FENCED);
	for (unsigned i = 0; i < 3; i++) {
		pd_sim_advance_us(os, 6000000);
		assert_int_equal(pd_backup_lease_keep(&second, &err), 0);
	}
	assert_int_equal(pd_backup_lease_prove(&first, &err), PD_FENCED);
	thaw(&lists, one);
	pd_backup_lease_end(&second);
	pd_repository_free(one);
	pd_repository_free(two);
	pd_os_free(os);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_carrier),
		cmocka_unit_test(test_carrier_ends),
		cmocka_unit_test(test_old_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
