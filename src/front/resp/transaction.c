#include "front/resp/transaction.h"

#include "base/assert.h"
#include "base/memory.h"

#define KEPT_BYTES   4096 /* of the words' bytes, from one transaction to the next */
#define KEPT_ENTRIES 128

void pd_resp_transaction_init(struct pd_resp_transaction *transaction, size_t bytes_max)
{
	*transaction = (struct pd_resp_transaction){ .bytes_max = bytes_max };
	pd_buffer_init(&transaction->bytes, bytes_max);
	pd_buffer_init(&transaction->watch_bytes, bytes_max);
}

static void free_queue(struct pd_resp_transaction *transaction)
{
	pd_free(transaction->words);
	pd_free(transaction->queued);
	pd_free(transaction->commands);
	transaction->words = NULL;
	transaction->queued = NULL;
	transaction->commands = NULL;
	transaction->word_capacity = transaction->capacity = 0;
}

static void free_watched(struct pd_resp_transaction *transaction)
{
	pd_free(transaction->watched);
	pd_free(transaction->preconditions);
	transaction->watched = NULL;
	transaction->preconditions = NULL;
	transaction->watched_capacity = 0;
}

void pd_resp_transaction_done(struct pd_resp_transaction *transaction)
{
	pd_buffer_done(&transaction->bytes);
	pd_buffer_done(&transaction->watch_bytes);
	free_queue(transaction);
	free_watched(transaction);
}

void pd_resp_transaction_unwatch(struct pd_resp_transaction *transaction)
{
	transaction->disowned = false;
	if (transaction->watched_count == 0)
		return;
	transaction->watched_count = 0;
	pd_buffer_clear(&transaction->watch_bytes);
	pd_buffer_shrink(&transaction->watch_bytes, KEPT_BYTES);
	if (transaction->watched_capacity > KEPT_ENTRIES)
		free_watched(transaction);
}

void pd_resp_transaction_clear(struct pd_resp_transaction *transaction)
{
	pd_resp_transaction_unwatch(transaction);
	transaction->open = false;
	transaction->poisoned = false;
	transaction->taken = false;
	transaction->count = 0;
	transaction->word_count = 0;
	pd_buffer_clear(&transaction->bytes);
	pd_buffer_shrink(&transaction->bytes, KEPT_BYTES);
	if (transaction->word_capacity > KEPT_ENTRIES || transaction->capacity > KEPT_ENTRIES)
		free_queue(transaction);
}

void pd_resp_transaction_disown(struct pd_resp_transaction *transaction)
{
	bool was_open = transaction->open;
	bool disowned = was_open || transaction->watched_count > 0 || transaction->disowned;

	pd_resp_transaction_clear(transaction);
	transaction->open = transaction->poisoned = was_open;
	transaction->disowned = disowned;
}

void pd_resp_transaction_give_up(struct pd_resp_transaction *transaction)
{
	PD_ASSERT(transaction->open);
	pd_resp_transaction_done(transaction);
	transaction->poisoned = true;
	transaction->taken = false;
	transaction->watched_count = 0;
	transaction->count = 0;
	transaction->word_count = 0;
}

/* Make `*array` hold at least `needed` elements. */
static int grow(void **array, size_t element_size, size_t needed, size_t *capacity)
{
	size_t wanted = *capacity == 0 ? 8 : *capacity;
	void *grown;

	while (wanted < needed)
		wanted *= 2;
	grown = pd_realloc(*array, wanted * element_size);
	if (grown == NULL)
		return PD_NO_MEMORY;
	*array = grown;
	*capacity = wanted;
	return 0;
}

/* Two arrays of one length; the capacity is only changed when both have grown. */
static int grow_pair(void **one, size_t one_size, void **two, size_t two_size, size_t needed,
		     size_t *capacity)
{
	size_t first = *capacity, second = *capacity;

	if (needed <= *capacity)
		return 0;
	if (grow(one, one_size, needed, &first) != 0 || grow(two, two_size, needed, &second) != 0)
		return PD_NO_MEMORY;
	*capacity = second;
	return 0;
}

size_t pd_resp_transaction_memory(const struct pd_resp_transaction *transaction)
{
	return transaction->bytes.capacity + transaction->watch_bytes.capacity +
	       transaction->word_capacity * sizeof *transaction->words +
	       transaction->capacity * (sizeof *transaction->queued + sizeof *transaction->commands) +
	       transaction->watched_capacity *
		       (sizeof *transaction->watched + sizeof *transaction->preconditions);
}

size_t pd_resp_transaction_growth(const struct pd_resp_transaction *transaction, const struct pd_slice *words,
				  size_t count)
{
	size_t size = 0, growth = 0;

	for (size_t i = 0; i < count; i++)
		size += words[i].size;
	if (transaction->bytes.size + size > transaction->bytes.capacity)
		growth += size > transaction->bytes.capacity ? 2 * size : transaction->bytes.capacity;
	if (transaction->word_count + count > transaction->word_capacity)
		growth += (count + transaction->word_capacity) * sizeof *transaction->words;
	if (transaction->count == transaction->capacity)
		growth += (1 + transaction->capacity) *
			  (sizeof *transaction->queued + sizeof *transaction->commands);
	return growth;
}

int pd_resp_transaction_queue(struct pd_resp_transaction *transaction, struct pd_resp_entry *entry,
			      void *client, int (*evaluate)(struct pd_call *call),
			      const struct pd_slice *words, size_t count)
{
	size_t size = 0;
	struct pd_resp_queued *queued;
	int result;

	PD_ASSERT(transaction->open && !transaction->taken);
	for (size_t i = 0; i < count; i++)
		size += words[i].size;
	/* The arrays count as well: a million empty words are not free. */
	if (size + count * sizeof *words > transaction->bytes_max - transaction->bytes.size ||
	    pd_resp_transaction_memory(transaction) > 2 * transaction->bytes_max)
		return PD_TOO_LARGE;
	result = pd_buffer_reserve(&transaction->bytes, size);
	if (result != 0)
		return result;
	if (transaction->word_count + count > transaction->word_capacity &&
	    grow((void **)&transaction->words, sizeof *transaction->words, transaction->word_count + count,
		 &transaction->word_capacity) != 0)
		return PD_NO_MEMORY;
	if (grow_pair((void **)&transaction->queued, sizeof *transaction->queued,
		      (void **)&transaction->commands, sizeof *transaction->commands, transaction->count + 1,
		      &transaction->capacity) != 0)
		return PD_NO_MEMORY;
	queued = transaction->queued + transaction->count++;
	*queued = (struct pd_resp_queued){ .command = entry->command,
					   .entry = entry,
					   .client = client,
					   .first_word = transaction->word_count,
					   .word_count = count };
	if (queued->command.evaluate == NULL)
		queued->command.evaluate = evaluate;
	for (size_t i = 0; i < count; i++) {
		size_t offset = transaction->bytes.size;

		transaction->words[transaction->word_count++] = pd_slice((const void *)(uintptr_t)offset,
									 words[i].size);
		if (words[i].size > 0)
			memcpy(transaction->bytes.data + offset, words[i].data, words[i].size);
		transaction->bytes.size += words[i].size;
	}
	return 0;
}

bool pd_resp_transaction_watches(const struct pd_resp_transaction *transaction, struct pd_slice actor,
				 struct pd_slice key)
{
	const uint8_t *bytes = transaction->watch_bytes.data;

	for (size_t i = 0; i < transaction->watched_count; i++) {
		const struct pd_resp_watched *watched = transaction->watched + i;

		if (watched->key_size == key.size && watched->actor_size == actor.size &&
		    pd_slice_equal(pd_slice(bytes + watched->key, watched->key_size), key) &&
		    pd_slice_equal(pd_slice(bytes + watched->actor, watched->actor_size), actor))
			return true;
	}
	return false;
}

int pd_resp_transaction_watch(struct pd_resp_transaction *transaction, struct pd_slice actor,
			      struct pd_slice key, struct pd_version version)
{
	struct pd_buffer *bytes = &transaction->watch_bytes;
	struct pd_resp_watched *watched;
	int result = pd_buffer_reserve(bytes, actor.size + key.size);

	if (result != 0)
		return result;
	if (grow_pair((void **)&transaction->watched, sizeof *transaction->watched,
		      (void **)&transaction->preconditions, sizeof *transaction->preconditions,
		      transaction->watched_count + 1, &transaction->watched_capacity) != 0)
		return PD_NO_MEMORY;
	watched = transaction->watched + transaction->watched_count++;
	*watched = (struct pd_resp_watched){ .actor = bytes->size,
					     .actor_size = actor.size,
					     .key = bytes->size + actor.size,
					     .key_size = key.size,
					     .version = version };
	PD_ASSERT(pd_buffer_append_slice(bytes, actor) == 0 && pd_buffer_append_slice(bytes, key) == 0);
	return 0;
}

void pd_resp_transaction_take(struct pd_resp_transaction *transaction, struct pd_request *request)
{
	const uint8_t *bytes = transaction->bytes.data;

	for (size_t i = 0; i < transaction->word_count && !transaction->taken; i++) {
		struct pd_slice *word = transaction->words + i;

		word->data = word->size == 0 ? NULL : bytes + (uintptr_t)word->data;
	}
	transaction->taken = true;
	for (size_t i = 0; i < transaction->count; i++) {
		const struct pd_resp_queued *queued = transaction->queued + i;

		transaction->commands[i] = (struct pd_request_command){
			&queued->command, transaction->words + queued->first_word, queued->word_count
		};
	}
	for (size_t i = 0; i < transaction->watched_count; i++) {
		const struct pd_resp_watched *watched = transaction->watched + i;
		const uint8_t *at = transaction->watch_bytes.data;

		transaction->preconditions[i] = (struct pd_precondition){
			.kind = PD_IF_VERSION,
			.actor = pd_slice(at + watched->actor, watched->actor_size),
			.key = pd_slice(at + watched->key, watched->key_size),
			.version = watched->version
		};
	}
	request->commands = transaction->commands;
	request->count = transaction->count;
	request->as_array = true;
	request->preconditions = transaction->preconditions;
	request->precondition_count = transaction->watched_count;
}
