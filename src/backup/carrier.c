#include "backup/carrier.h"

#include <stdatomic.h>

#include "base/assert.h"
#include "base/memory.h"

/* A service answers late, whatever it is asked; a disk, and those who are served beside this, are not helped by a crowd: two that
 * work, and one that waits for the disk. */
#define AT_ONCE_REMOTE 4u
#define AT_ONCE_LOCAL  3u
/* Between two looks at tasks: short first, for small pieces of a near disk. */
#define PATIENCE_FIRST_US 100u
#define PATIENCE_LAST_US  5000u

struct slot {
	struct pd_carrier *carrier;
	struct pd_repository *repository; /* NULL until it is needed */
	struct pd_os_task *task;          /* NULL: it is free */
	struct pd_buffer content;         /* of a piece that is to be put */
	bool unflushed;                   /* some that were put may not stay yet */
	struct pd_carried carried;
	int result;
	struct pd_error err;
};

struct pd_carrier {
	struct pd_carrier_options options;
	struct slot slots[AT_ONCE_REMOTE];
	unsigned count;
	struct slot *room; /* whose content is being made */
	atomic_bool cancelled;
};

/* ---- in the task ---- */

static bool go_on(void *context, uint64_t done_bytes)
{
	const struct slot *slot = context;

	(void)done_bytes;
	return !atomic_load(&slot->carrier->cancelled);
}

static void get(struct slot *slot)
{
	const struct pd_carrier_options *options = &slot->carrier->options;
	struct pd_carried *carried = &slot->carried;

	slot->result = pd_piece_get(slot->repository, &carried->piece, carried->size, &carried->content,
				    &slot->err);
	carried->is_bad = slot->result == PD_CORRUPT;
	if (slot->result == 0 && options->got != NULL)
		slot->result = options->got(options->context, carried, &slot->err);
}

static void run(void *argument)
{
	struct slot *slot = argument;
	struct pd_carried *carried = &slot->carried;

	switch (carried->what) {
	case PD_CARRY_PUT:
		slot->result = pd_piece_put(slot->repository, pd_buffer_slice(&slot->content),
					    &carried->piece, &carried->stored, &slot->err);
		break;
	case PD_CARRY_LOOK:
		slot->result = pd_piece_look(slot->repository, &carried->piece, carried->size,
					     &carried->stored.bytes, &slot->err);
		carried->is_bad = slot->result == PD_CORRUPT;
		break;
	case PD_CARRY_GET:
		get(slot);
		break;
	case PD_CARRY_FLUSH:
		slot->result = pd_object_flush(slot->repository->store, &slot->err);
		break;
	}
}

/* ---- its owner ---- */

int pd_carrier_new(const struct pd_carrier_options *options, struct pd_carrier **ret_carrier,
		   struct pd_error *err)
{
	struct pd_carrier *carrier = pd_calloc(1, sizeof *carrier);

	if (carrier == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for pieces on their way");
	carrier->options = *options;
	carrier->count = pd_repository_place_is_remote(&options->repository->place) ? AT_ONCE_REMOTE
										    : AT_ONCE_LOCAL;
	atomic_init(&carrier->cancelled, false);
	for (unsigned i = 0; i < carrier->count; i++) {
		carrier->slots[i].carrier = carrier;
		pd_buffer_init(&carrier->slots[i].content, PD_PIECE_SIZE);
	}
	*ret_carrier = carrier;
	return 0;
}

void pd_carrier_free(struct pd_carrier *carrier)
{
	if (carrier == NULL)
		return;
	atomic_store(&carrier->cancelled, true);
	for (unsigned i = 0; i < carrier->count; i++) {
		pd_os_task_join(carrier->slots[i].task);
		pd_repository_free(carrier->slots[i].repository);
		pd_buffer_done(&carrier->slots[i].content);
	}
	pd_free(carrier);
}

/* It has ended: tell. */
static int collect(struct pd_carrier *carrier, struct slot *slot, struct pd_error *err)
{
	struct pd_carried *carried = &slot->carried;

	pd_os_task_join(slot->task);
	slot->task = NULL;
	carried->why = &slot->err;
	if (slot->result != 0 && !carried->is_bad)
		return pd_error_set(err, slot->result, "%s", slot->err.text);
	if (carried->what == PD_CARRY_FLUSH)
		return 0;
	return carrier->options.take(carrier->options.context, carried, err);
}

/* All that have ended. *ret_free: one that is free, NULL: none; *ret_busy: how many are not. */
static int collect_all(struct pd_carrier *carrier, struct slot **ret_free, unsigned *ret_busy,
		       struct pd_error *err)
{
	int result = 0;

	*ret_free = NULL;
	*ret_busy = 0;
	for (unsigned i = 0; i < carrier->count && result == 0; i++) {
		struct slot *slot = &carrier->slots[i];

		if (slot->task != NULL && pd_os_task_finished(slot->task))
			result = collect(carrier, slot, err);
		if (slot->task != NULL)
			++*ret_busy;
		else if (*ret_free == NULL)
			*ret_free = slot;
	}
	return result;
}

static int rest(struct pd_carrier *carrier, uint64_t *patience_us, struct pd_error *err)
{
	int result = carrier->options.step(carrier->options.context, err);

	if (result == 0)
		pd_os_sleep_us(carrier->options.repository->os, *patience_us);
	*patience_us = 2 * *patience_us < PATIENCE_LAST_US ? 2 * *patience_us : PATIENCE_LAST_US;
	return result;
}

/* One that is free, with a repository. */
static int find_free(struct pd_carrier *carrier, struct slot **ret_slot, struct pd_error *err)
{
	uint64_t patience_us = PATIENCE_FIRST_US;
	unsigned busy;
	int result = collect_all(carrier, ret_slot, &busy, err);

	while (result == 0 && *ret_slot == NULL) {
		result = rest(carrier, &patience_us, err);
		if (result == 0)
			result = collect_all(carrier, ret_slot, &busy, err);
	}
	if (result == 0 && (*ret_slot)->repository == NULL) {
		result = pd_repository_open_again(carrier->options.repository, &(*ret_slot)->repository, err);
		if (result == 0)
			pd_object_store_watch((*ret_slot)->repository->store,
					      &(struct pd_object_watch){ go_on, *ret_slot });
	}
	return result;
}

static int start(struct pd_carrier *carrier, struct slot *slot, struct pd_error *err)
{
	slot->result = 0;
	slot->err = (struct pd_error){ 0 };
	return pd_os_task_start(carrier->options.repository->os, run, slot, &slot->task, err);
}

int pd_carrier_room(struct pd_carrier *carrier, struct pd_buffer **ret_room, struct pd_error *err)
{
	struct slot *slot;
	int result = find_free(carrier, &slot, err);

	if (result != 0)
		return result;
	pd_buffer_clear(&slot->content);
	if (pd_buffer_reserve(&slot->content, PD_PIECE_SIZE) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a piece of a file");
	carrier->room = slot;
	*ret_room = &slot->content;
	return 0;
}

int pd_carrier_put_room(struct pd_carrier *carrier, size_t file, size_t number, struct pd_error *err)
{
	struct slot *slot = carrier->room;

	slot->carried = (struct pd_carried){
		.what = PD_CARRY_PUT, .file = file, .number = number, .size = slot->content.size
	};
	slot->unflushed = true;
	return start(carrier, slot, err);
}

int pd_carrier_put(struct pd_carrier *carrier, struct pd_slice content, size_t file, size_t number,
		   struct pd_error *err)
{
	struct pd_buffer *room;
	int result = pd_carrier_room(carrier, &room, err);

	if (result != 0)
		return result;
	PD_ASSERT(pd_buffer_append_slice(room, content) == 0);
	return pd_carrier_put_room(carrier, file, number, err);
}

int pd_carrier_ask(struct pd_carrier *carrier, enum pd_carrying what, const struct pd_piece *piece,
		   size_t size, size_t file, size_t number, struct pd_error *err)
{
	struct slot *slot;
	int result = find_free(carrier, &slot, err);

	if (result != 0)
		return result;
	slot->carried = (struct pd_carried){
		.what = what, .file = file, .number = number, .size = size, .piece = *piece
	};
	return start(carrier, slot, err);
}

/* Those that are free make stay what they have put, beside each other. *ret_busy: how many are not. */
static int flush(struct pd_carrier *carrier, unsigned *ret_busy, struct pd_error *err)
{
	struct slot *free;
	int result = collect_all(carrier, &free, ret_busy, err);

	for (unsigned i = 0; i < carrier->count && result == 0; i++) {
		struct slot *slot = &carrier->slots[i];

		if (slot->task != NULL || !slot->unflushed)
			continue;
		slot->unflushed = false;
		slot->carried = (struct pd_carried){ .what = PD_CARRY_FLUSH };
		result = start(carrier, slot, err);
		++*ret_busy;
	}
	return result;
}

int pd_carrier_wait(struct pd_carrier *carrier, struct pd_error *err)
{
	uint64_t patience_us = PATIENCE_FIRST_US;
	unsigned busy;
	int result = flush(carrier, &busy, err);

	while (result == 0 && busy > 0) {
		result = rest(carrier, &patience_us, err);
		if (result == 0)
			result = flush(carrier, &busy, err);
	}
	/* Whoever follows hears of the last one, too. */
	return result == 0 ? carrier->options.step(carrier->options.context, err) : result;
}
