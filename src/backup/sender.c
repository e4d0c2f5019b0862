#include "backup/sender.h"

#include <stdatomic.h>

#include "base/memory.h"

/* A service answers late, whatever it is asked; a disk, and those who are served beside this, are not helped by a crowd. */
#define AT_ONCE_REMOTE 4u
#define AT_ONCE_LOCAL  2u
#define PATIENCE_US    500u /* between two looks at tasks */

struct slot {
	struct pd_sender *sender;
	struct pd_repository *repository; /* NULL until it is needed */
	struct pd_os_task *task;          /* NULL: it is free */
	struct pd_buffer content;         /* of a piece that is to be put */
	struct pd_sent sent;
	int result;
	struct pd_error err;
};

struct pd_sender {
	struct pd_sender_options options;
	struct slot slots[AT_ONCE_REMOTE];
	unsigned count;
	atomic_bool cancelled;
};

/* ---- in the task ---- */

static bool go_on(void *context, uint64_t done_bytes)
{
	const struct slot *slot = context;

	(void)done_bytes;
	return !atomic_load(&slot->sender->cancelled);
}

static void run(void *argument)
{
	struct slot *slot = argument;
	struct pd_sent *sent = &slot->sent;

	if (sent->looked)
		slot->result = pd_piece_look(slot->repository, &sent->piece, sent->size, &sent->stored.bytes,
					     &slot->err);
	else
		slot->result = pd_piece_put(slot->repository, pd_buffer_slice(&slot->content), &sent->piece,
					    &sent->stored, &slot->err);
}

/* ---- its owner ---- */

int pd_sender_new(const struct pd_sender_options *options, struct pd_sender **ret_sender,
		  struct pd_error *err)
{
	struct pd_sender *sender = pd_calloc(1, sizeof *sender);

	if (sender == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a backup");
	sender->options = *options;
	sender->count = pd_repository_place_is_remote(&options->repository->place) ? AT_ONCE_REMOTE
										   : AT_ONCE_LOCAL;
	atomic_init(&sender->cancelled, false);
	for (unsigned i = 0; i < sender->count; i++) {
		sender->slots[i].sender = sender;
		pd_buffer_init(&sender->slots[i].content, PD_PIECE_SIZE);
	}
	*ret_sender = sender;
	return 0;
}

void pd_sender_free(struct pd_sender *sender)
{
	if (sender == NULL)
		return;
	atomic_store(&sender->cancelled, true);
	for (unsigned i = 0; i < sender->count; i++) {
		pd_os_task_join(sender->slots[i].task);
		pd_repository_free(sender->slots[i].repository);
		pd_buffer_done(&sender->slots[i].content);
	}
	pd_free(sender);
}

/* It has ended: tell. */
static int collect(struct pd_sender *sender, struct slot *slot, struct pd_error *err)
{
	pd_os_task_join(slot->task);
	slot->task = NULL;
	slot->sent.is_missing = slot->sent.looked && slot->result == PD_CORRUPT;
	if (slot->result != 0 && !slot->sent.is_missing)
		return pd_error_set(err, slot->result, "%s", slot->err.text);
	sender->options.take(sender->options.context, &slot->sent);
	return 0;
}

/* All that have ended. *ret_free: one that is free, NULL: none; *ret_busy: how many are not. */
static int collect_all(struct pd_sender *sender, struct slot **ret_free, unsigned *ret_busy,
		       struct pd_error *err)
{
	int result = 0;

	*ret_free = NULL;
	*ret_busy = 0;
	for (unsigned i = 0; i < sender->count && result == 0; i++) {
		struct slot *slot = &sender->slots[i];

		if (slot->task != NULL && pd_os_task_finished(slot->task))
			result = collect(sender, slot, err);
		if (slot->task != NULL)
			++*ret_busy;
		else if (*ret_free == NULL)
			*ret_free = slot;
	}
	return result;
}

static int rest(struct pd_sender *sender, struct pd_error *err)
{
	int result = sender->options.step(sender->options.context, err);

	if (result == 0)
		pd_os_sleep_us(sender->options.repository->os, PATIENCE_US);
	return result;
}

/* One that is free, with a repository. */
static int find_free(struct pd_sender *sender, struct slot **ret_slot, struct pd_error *err)
{
	unsigned busy;
	int result = collect_all(sender, ret_slot, &busy, err);

	while (result == 0 && *ret_slot == NULL) {
		result = rest(sender, err);
		if (result == 0)
			result = collect_all(sender, ret_slot, &busy, err);
	}
	if (result == 0 && (*ret_slot)->repository == NULL) {
		result = pd_repository_open_again(sender->options.repository, &(*ret_slot)->repository, err);
		if (result == 0)
			pd_object_store_watch((*ret_slot)->repository->store,
					      &(struct pd_object_watch){ go_on, *ret_slot });
	}
	return result;
}

static int start(struct pd_sender *sender, struct slot *slot, struct pd_error *err)
{
	slot->result = 0;
	slot->err = (struct pd_error){ 0 };
	return pd_os_task_start(sender->options.repository->os, run, slot, &slot->task, err);
}

int pd_sender_put(struct pd_sender *sender, struct pd_slice content, size_t file, size_t number,
		  struct pd_error *err)
{
	struct slot *slot;
	int result = find_free(sender, &slot, err);

	if (result != 0)
		return result;
	slot->sent = (struct pd_sent){ .file = file, .number = number, .size = content.size };
	pd_buffer_clear(&slot->content);
	if (pd_buffer_append_slice(&slot->content, content) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a piece of a file");
	return start(sender, slot, err);
}

int pd_sender_look(struct pd_sender *sender, const struct pd_piece *piece, size_t size, size_t file,
		   size_t number, struct pd_error *err)
{
	struct slot *slot;
	int result = find_free(sender, &slot, err);

	if (result != 0)
		return result;
	slot->sent = (struct pd_sent){
		.file = file, .number = number, .size = size, .looked = true, .piece = *piece
	};
	return start(sender, slot, err);
}

int pd_sender_wait(struct pd_sender *sender, struct pd_error *err)
{
	struct slot *slot;
	unsigned busy;
	int result = collect_all(sender, &slot, &busy, err);

	while (result == 0 && busy > 0) {
		result = rest(sender, err);
		if (result == 0)
			result = collect_all(sender, &slot, &busy, err);
	}
	/* Whoever follows hears of the last one, too. */
	return result == 0 ? sender->options.step(sender->options.context, err) : result;
}
