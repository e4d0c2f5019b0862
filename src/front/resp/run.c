/* Running requests: from the words on the wire to a reply that is shown or held. */
#include <stdio.h>
#include <string.h>

#include "base/plant.h"
#include "front/resp/front_private.h"
#include "os/os.h"
#include "security/login.h"

#define STRANGER_INPUT_MAX \
	16384u         /* bytes of a request of somebody who has not logged in: Redis's bound of one word */
#define ERROR_ROOM 512 /* bytes that an error's text may take in any case */

/* What became of one request. */
enum outcome {
	DONE,    /* its reply is written */
	LATER,   /* nothing happened: try again when the client's stall is over */
	UNKNOWN, /* it may have happened and its reply is lost: only closing the connection says so */
};

void pd_resp_write_engine_error(struct pd_resp_writer *reply, int code, const struct pd_error *err)
{
	pd_resp_write_errorf(reply, "%s %s", pd_code_resp_prefix(code), err->text);
}

/* ---- replies ---- */

/* By the first word of its text, up to so many of them. */
static void count_error(struct pd_resp_front *front, struct pd_slice text)
{
	size_t size = 0, i = 0;

	while (size < text.size && size < PD_RESP_ERROR_PREFIX_SIZE - 1 && text.data[size] > ' ')
		size++;
	while (i < front->error_count && (front->errors[i].prefix[size] != '\0' ||
					  memcmp(front->errors[i].prefix, text.data, size) != 0))
		i++;
	front->error_replies++;
	if (i == PD_RESP_ERRORS_MAX)
		return;
	if (i == front->error_count) {
		front->error_count++;
		front->errors[i] = (struct pd_resp_error_count){ .count = 0 };
		memcpy(front->errors[i].prefix, text.data, size);
	}
	front->errors[i].count++;
}

/* One reply is in the output from `start` on: drop it, show it or hold it. false: there is no memory to hold it. */
static bool keep_reply(struct pd_resp_client *client, size_t start, const struct pd_wait *wait,
		       struct pd_resp_writer *reply)
{
	struct pd_buffer *output = &client->connection->output;

	if (output->size > start && output->data[start] == '-')
		count_error(client->front, pd_slice(output->data + start + 1, output->size - start - 1));
	if (client->reply_mode != PD_RESP_REPLY_ON) {
		if (client->reply_mode == PD_RESP_REPLY_SKIP_NEXT)
			client->reply_mode = PD_RESP_REPLY_SKIP;
		else if (client->reply_mode == PD_RESP_REPLY_SKIP)
			client->reply_mode = PD_RESP_REPLY_ON;
		pd_resp_holes_drop(reply);
		output->size = start;
		return true;
	}
	if (reply->hole_count > 0 && pd_resp_stream_begin(client, reply) != 0)
		return false;
	return pd_resp_hold_add(&client->hold, client->front->engine, client->base + output->size, wait,
				client->front->turn) == 0;
}

static enum pd_resp_class class_of(const struct pd_resp_entry *entry)
{
	unsigned flags = entry->command.flags;

	if ((flags & PD_COMMAND_ADMIN) != 0)
		return PD_RESP_CLASS_ADMIN;
	if ((flags & PD_COMMAND_WRITE) != 0)
		return PD_RESP_CLASS_WRITE;
	return (flags & PD_COMMAND_READONLY) != 0 ? PD_RESP_CLASS_READ : PD_RESP_CLASS_OTHER;
}

static void note_slow(struct pd_resp_client *client, const struct pd_resp_entry *entry,
		      const struct pd_slice *words, size_t count, uint64_t took_ns)
{
	struct pd_resp_front *front = client->front;
	struct pd_slice shown[PD_RESP_SLOWLOG_WORDS_MAX];

	for (size_t i = 0; i < PD_RESP_SLOWLOG_WORDS_MAX && i < count; i++)
		shown[i] = pd_resp_shown_word(entry, words, i);
	pd_resp_slowlog_note(&front->slowlog, pd_os_real_us(front->os), took_ns / 1000, shown, count,
			     client->connection->peer, client->name != NULL ? client->name : "");
}

/* Time since the last command ended goes to this one: parsing it belongs to it. */
static void account(struct pd_resp_client *client, struct pd_resp_entry *entry, const struct pd_slice *words,
		    size_t count, bool failed)
{
	struct pd_resp_front *front = client->front;
	uint64_t now = pd_os_monotonic_ns(front->os);
	uint64_t took = now - front->clock_ns;

	front->clock_ns = now;
	front->commands++;
	pd_histogram_note_ns(&entry->times, took);
	entry->failed += failed;
	pd_histogram_note_ns(&front->counters.evaluation_time[class_of(entry)], took);
	front->counters.failed[class_of(entry)] += failed;
	client->last_command = entry;
	if (front->slowlog.slower_than_us >= 0 && took / 1000 >= (uint64_t)front->slowlog.slower_than_us)
		note_slow(client, entry, words, count, took);
	if (front->latency.threshold_ms > 0)
		pd_resp_latency_note(&front->latency,
				     (entry->command.flags & PD_COMMAND_FAST) != 0
					     ? PD_RESP_LATENCY_FAST_COMMAND
					     : PD_RESP_LATENCY_COMMAND,
				     pd_os_real_us(front->os), took / 1000);
	if (front->monitor_count > 0)
		pd_resp_show(client, entry, words, count, false);
}

/* ---- refusing ---- */

/* A request that is not run at all, nor queued. */
static void reject(struct pd_resp_client *client, struct pd_resp_entry *entry)
{
	if (client->transaction.open)
		client->transaction.poisoned = true;
	else if (entry == NULL || (entry->command.flags & PD_COMMAND_WRITE) != 0)
		client->idempotency_size =
			0; /* the key was for this write, or what may have been one, not for what comes after it */
	client->front->rejected_calls++;
	client->front->counters.rejected[entry != NULL ? class_of(entry) : PD_RESP_CLASS_OTHER]++;
	if (entry != NULL)
		entry->rejected++;
}

/* As Redis prints bytes into an error: at most `most` of them, up to the first NUL. */
static int printable(struct pd_slice word, int most)
{
	const uint8_t *end = word.size > 0 ? memchr(word.data, '\0', word.size) : NULL;
	size_t size = end != NULL ? (size_t)(end - word.data) : word.size;

	return size < (size_t)most ? (int)size : most;
}

static void write_unknown(struct pd_resp_writer *reply, const struct pd_slice *words, size_t count,
			  const struct pd_resp_entry *container)
{
	char text[192];
	const char *why;
	int used = 0;

	if (container != NULL) {
		for (size_t i = 0; container->name.text[i] != '\0'; i++) {
			char c = container->name.text[i];

			text[used++] = c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
		}
		text[used] = '\0';
		pd_resp_write_errorf(reply, "ERR unknown subcommand '%.*s'. Try %s HELP.",
				     printable(words[1], 128), (const char *)words[1].data, text);
		return;
	}
	why = pd_resp_why_unknown(words[0]);
	if (why != NULL) {
		pd_resp_write_errorf(reply, "ERR unknown command '%.*s': %s", printable(words[0], 128),
				     (const char *)words[0].data, why);
		return;
	}
	text[0] = '\0';
	for (size_t i = 1; i < count && used < 128; i++)
		used += snprintf(text + used, sizeof text - (size_t)used, "'%.*s' ",
				 printable(words[i], 128 - used), (const char *)words[i].data);
	pd_resp_write_errorf(reply, "ERR unknown command '%.*s', with args beginning with: %s",
			     printable(words[0], 128), (const char *)words[0].data, text);
}

/* With RESP2 nothing but the order of replies tells what is one: messages would be taken for some. */
static bool is_for_subscribers(const struct pd_resp_client *client, const struct pd_resp_entry *entry)
{
	return client->protocol != 2 || (entry->command.flags & PD_COMMAND_SUBSCRIBED) != 0 ||
	       !pd_resp_subscriber_has_any(&client->subscriber);
}

/* A request that is not right, or may not run now: EXEC is then over, as in Redis. */
static void refuse(struct pd_resp_client *client, const struct pd_resp_entry *entry,
		   struct pd_resp_writer *reply, const char *text)
{
	if (strcmp(entry->name.text, "exec") != 0) {
		pd_resp_write_error(reply, text);
		return;
	}
	client->idempotency_size = 0;
	pd_resp_transaction_clear(&client->transaction);
	pd_resp_write_errorf(reply, "EXECABORT Transaction discarded because of: %s",
			     strncmp(text, "ERR ", 4) == 0 ? text + 4 : text);
}

/* May it be run or queued? If not, the error is written. */
static bool admit(struct pd_resp_client *client, struct pd_resp_entry *entry, size_t count,
		  struct pd_resp_writer *reply)
{
	struct pd_resp_front *front = client->front;
	unsigned flags = entry->command.flags;
	struct pd_error why;

	if (!pd_resp_entry_takes(entry, count)) {
		(void)pd_error_set(&why, PD_INVALID, "ERR wrong number of arguments for '%s' command",
				   entry->name.text);
		refuse(client, entry, reply, why.text);
		return false;
	}
	if (client->transaction.open && (flags & PD_COMMAND_NO_MULTI) != 0) {
		pd_resp_write_error(reply, "ERR Command not allowed inside a transaction");
		return false;
	}
	if (!is_for_subscribers(client, entry)) {
		pd_resp_write_errorf(reply,
				     "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING "
				     "/ QUIT / RESET are allowed in this context",
				     entry->name.text);
		return false;
	}
	if (front->loading && (flags & PD_COMMAND_LOADING) == 0) {
		const struct pd_recovery *progress = &front->progress;

		if (progress->total_bytes == 0)
			(void)pd_error_set(&why, PD_AGAIN,
					   "LOADING Perdure is replaying its log (%llu records so far)",
					   (unsigned long long)progress->records);
		else
			(void)pd_error_set(&why, PD_AGAIN, "LOADING Perdure is replaying its log (%u%%)",
					   (unsigned)(progress->bytes < progress->total_bytes
							      ? progress->bytes * 100 / progress->total_bytes
							      : 100));
		pd_resp_write_error(reply, why.text);
		return false;
	}
	if (!pd_resp_access_recognize(client, &why) || !pd_resp_access_admits(client, entry, &why)) {
		if (client->transaction.open)
			refuse(client, entry, reply, why.text);
		else
			pd_resp_write_error(reply, why.text);
		return false;
	}
	return true;
}

/* ---- commands of the front ---- */

static void answer(struct pd_resp_client *client, struct pd_resp_entry *entry, const struct pd_slice *words,
		   size_t count, struct pd_resp_writer *reply, struct pd_resp_call *call)
{
	const struct pd_resp_command *own = entry->answer;

	*call = (struct pd_resp_call){
		.client = client, .entry = entry, .words = words, .count = count, .reply = reply
	};
	own->answer(call);
}

/* The evaluate of a queued command that is the front's: see struct pd_resp_queued. */
static int answer_queued(struct pd_call *call)
{
	const struct pd_resp_queued *queued = (const struct pd_resp_queued *)call->command;
	struct pd_resp_call own;

	answer(queued->client, queued->entry, call->words, call->count, call->reply, &own);
	return 0;
}

/* Does MULTI leave it alone? */
static bool runs_inside_multi(const struct pd_resp_entry *entry)
{
	static const char *const names[] = { "multi", "exec", "discard", "watch", "quit", "reset" };

	if ((entry->command.flags & PD_COMMAND_CONNECTION) == 0)
		return false;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(entry->name.text, names[i]) == 0)
			return true;
	return false;
}

static int keep_queued(struct pd_resp_client *client, struct pd_resp_entry *entry,
		       const struct pd_slice *words, size_t count)
{
	struct pd_resp_transaction *transaction = &client->transaction;
	size_t growth = pd_resp_transaction_growth(transaction, words, count);
	int result;

	/* What will never run needs no place. */
	if (transaction->poisoned)
		return 0;
	if (growth > 0 && !pd_resp_memory_has_room(client, growth))
		return PD_NO_MEMORY;
	result = pd_resp_transaction_queue(transaction, entry, client, answer_queued, words, count);
	/* One input may hold very many small commands. */
	if (growth > 0)
		pd_resp_memory_count(client);
	return result;
}

static void queue(struct pd_resp_client *client, struct pd_resp_entry *entry, const struct pd_slice *words,
		  size_t count, struct pd_resp_writer *reply)
{
	int result = keep_queued(client, entry, words, count);

	if (result == 0) {
		pd_resp_write_status(reply, "QUEUED");
		return;
	}
	reject(client, entry);
	if (result == PD_TOO_LARGE)
		pd_resp_write_errorf(
			reply, "ERR the transaction is too large: it may queue %zu MiB; send it in parts",
			client->transaction.bytes_max / (1024 * 1024));
	else
		pd_resp_write_error(reply, "OOM there is no memory for the transaction: queue less at once");
	pd_resp_transaction_give_up(&client->transaction);
}

/* ---- not now ---- */

bool pd_resp_must_wait(struct pd_resp_client *client, int result, const struct pd_receipt *receipt)
{
	if (result != PD_AGAIN || receipt->retry_us == 0)
		return false;
	client->brake_until_ns = pd_os_monotonic_ns(client->front->os) + receipt->retry_us * 1000;
	pd_resp_front_stall(client, PD_RESP_STALL_BRAKE);
	return true;
}

/* ---- commands of the models ---- */

static bool is_write(const struct pd_request_command *command)
{
	return (command->command->flags & PD_COMMAND_WRITE) != 0;
}

static enum outcome execute(struct pd_resp_client *client, struct pd_request *request,
			    struct pd_resp_writer *reply, struct pd_receipt *receipt)
{
	size_t start = reply->buffer->size;
	struct pd_error err;
	int result;

	request->session = pd_resp_client_session(client);
	if (request->session == NULL) {
		*receipt = (struct pd_receipt){ 0 };
		pd_resp_write_error(reply, "OOM out of memory for a session");
		return DONE;
	}
	/* The key waits for a write; reads may be repeated as they are. */
	if (client->idempotency_size > 0 && (request->as_array || is_write(request->commands)))
		request->idempotency_key = pd_slice(client->idempotency_key, client->idempotency_size);
	request->request_id = pd_slice(client->request_id, client->request_id_size);
	err.text[0] = '\0';
	result = pd_engine_execute(client->front->engine, request, reply, receipt, &err);
	/* Nothing has happened then, and all of it happens when the wait is over: the key is kept for that. */
	if (pd_resp_must_wait(client, result, receipt) ||
	    (result == PD_TOO_LARGE && pd_resp_memory_wait_for_room(client, start))) {
		pd_resp_push_forget(client->front);
		reply->failed = 0;
		reply->buffer->size = start;
		if (pd_plant(PD_PLANT_BRAKE_FORGETS_KEY) && request->idempotency_key.size > 0)
			client->idempotency_size = 0;
		return LATER;
	}
	if (request->idempotency_key.size > 0)
		client->idempotency_size = 0;
	if (result == 0) {
		pd_resp_keyspace_collect(client->front);
		if (receipt->lsn != 0)
			client->last_write = *receipt;
		return reply->failed == 0 ? DONE : UNKNOWN;
	}
	pd_resp_push_forget(client->front);
	reply->failed = 0;
	reply->buffer->size = start;
	/* The log had been fenced before: nothing was evaluated, and there is nothing to wait for. */
	if (result == PD_FENCED)
		receipt->wait = (struct pd_wait){ 0 };
	if (result == PD_CONFLICT && request->as_array)
		pd_resp_write_null_array(reply);
	else
		pd_resp_write_engine_error(reply, result, &err);
	return DONE;
}

/* Is the reply of EXEC from `start` on an array, and not null or an error? */
static bool was_run(const struct pd_resp_writer *reply, size_t start)
{
	const uint8_t *bytes = reply->buffer->data + start;

	return reply->buffer->size > start + 1 && bytes[0] == '*' && bytes[1] != '-';
}

/* They have been run, or have failed together. */
static void show_queued(struct pd_resp_client *client)
{
	const struct pd_resp_transaction *transaction = &client->transaction;

	for (size_t i = 0; i < transaction->count && client->front->monitor_count > 0; i++)
		pd_resp_show(client, transaction->queued[i].entry, transaction->commands[i].words,
			     transaction->commands[i].count, true);
}

void pd_resp_run_transaction(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;
	size_t start = call->reply->buffer->size;
	struct pd_request request = { 0 };
	struct pd_receipt receipt;

	pd_resp_transaction_take(&client->transaction, &request);
	if (request.count == 0 && request.precondition_count == 0) {
		pd_resp_write_array(call->reply, 0);
		client->idempotency_size = 0;
	} else {
		enum outcome outcome = execute(client, &request, call->reply, &receipt);

		if (outcome == LATER) {
			call->later = true;
			return;
		}
		if (outcome == UNKNOWN)
			client->closing = true;
		if (outcome == UNKNOWN || was_run(call->reply, start))
			show_queued(client);
		call->wait_storage = receipt.wait;
		call->wait = &call->wait_storage;
	}
	pd_resp_transaction_clear(&client->transaction);
}

/* ---- one request ---- */

/* A command of a model, alone: the hot path. */
static enum outcome run_model(struct pd_resp_client *client, struct pd_resp_entry *entry,
			      const struct pd_slice *words, size_t count, struct pd_resp_writer *reply)
{
	size_t start = reply->buffer->size;
	struct pd_request_command command = { &entry->command, words, count };
	struct pd_request request = { .commands = &command, .count = 1, .stage = client->stage };
	struct pd_receipt receipt;
	enum outcome outcome = execute(client, &request, reply, &receipt);

	if (outcome == LATER)
		return LATER;
	if (outcome == DONE && reply->failed == 0) {
		bool failed = reply->buffer->data[start] == '-';

		if (keep_reply(client, start, &receipt.wait, reply))
			account(client, entry, words, count, failed);
		else
			outcome = UNKNOWN;
	} else {
		outcome = UNKNOWN;
	}
	if (outcome == UNKNOWN)
		client->closing = true;
	/* It has happened, whether its reply can be shown or not. */
	if (client->front->pushes.noted.size > 0)
		pd_resp_push_deliver(client->front, &receipt.wait);
	return outcome;
}

/* The reply of a command of the front. */
static bool keep_own(struct pd_resp_client *client, size_t start, const struct pd_resp_call *call,
		     struct pd_resp_writer *reply)
{
	uint64_t end = client->base + client->connection->output.size;

	if (!call->is_push)
		return keep_reply(client, start, call->wait, reply);
	return pd_resp_hold_add(&client->hold, client->front->engine, end, call->wait, client->front->turn) ==
	       0;
}

/* A command of the front, or one that MULTI keeps. */
static enum outcome run_own(struct pd_resp_client *client, struct pd_resp_entry *entry,
			    const struct pd_slice *words, size_t count, struct pd_resp_writer *reply)
{
	const struct pd_resp_command *own = entry->answer;
	size_t start = reply->buffer->size;
	struct pd_resp_call call = { 0 };
	enum outcome outcome = UNKNOWN;
	bool failed;

	if (client->transaction.open && !runs_inside_multi(entry)) {
		queue(client, entry, words, count, reply);
		if (reply->failed != 0)
			return UNKNOWN;
		return keep_reply(client, start, NULL, reply) ? DONE : UNKNOWN;
	}
	if (own->settles_first && client->hold.count > 0) {
		pd_resp_front_stall(client, PD_RESP_STALL_HELD);
		return LATER;
	}
	answer(client, entry, words, count, reply, &call);
	/* What has effects has a small reply; lists may be asked for again. */
	if (call.later || (reply->failed == PD_TOO_LARGE && pd_resp_memory_wait_for_room(client, start))) {
		pd_resp_push_forget(client->front);
		reply->buffer->size = start;
		return LATER;
	}
	failed = reply->buffer->size > start && reply->buffer->data[start] == '-';
	if ((entry->command.flags & PD_COMMAND_WRITE) != 0)
		client->idempotency_size = 0;
	if (reply->failed == 0 && keep_own(client, start, &call, reply)) {
		outcome = DONE;
		account(client, entry, words, count, failed);
	} else {
		client->closing = true;
	}
	/* It has happened, whether its reply can be shown or not. */
	pd_resp_push_deliver(client->front, call.wait);
	return outcome;
}

static enum outcome run_words(struct pd_resp_client *client, const struct pd_slice *words, size_t count,
			      struct pd_resp_writer *reply)
{
	struct pd_resp_front *front = client->front;
	const struct pd_resp_entry *container;
	struct pd_resp_entry *entry = pd_resp_registry_find(&front->registry, words, count, &container);
	size_t start = reply->buffer->size;

	if (entry != NULL && front->pause_until_ns != 0 && pd_resp_front_paused(front, client, entry)) {
		pd_resp_front_stall(client, PD_RESP_STALL_PAUSE);
		return LATER;
	}
	if (entry == NULL)
		write_unknown(reply, words, count, container);
	if (entry == NULL || !admit(client, entry, count, reply)) {
		reject(client, entry);
		if (reply->failed != 0)
			return UNKNOWN;
		return keep_reply(client, start, NULL, reply) ? DONE : UNKNOWN;
	}
	if ((entry->command.flags & PD_COMMAND_CONNECTION) == 0 && !client->transaction.open)
		return run_model(client, entry, words, count, reply);
	return run_own(client, entry, words, count, reply);
}

static enum outcome run_request(struct pd_resp_client *client, const struct pd_slice *words, size_t count)
{
	struct pd_resp_hole holes[PD_RESP_HOLES_MAX];
	struct pd_resp_writer reply = { .buffer = &client->connection->output,
					.protocol = client->protocol,
					.holes = holes,
					.hole_max = PD_RESP_HOLES_MAX };
	enum outcome outcome = run_words(client, words, count, &reply);

	pd_resp_holes_drop(&reply);
	if (outcome != LATER && client->stage != NULL) {
		pd_stage_free(client->stage);
		client->stage = NULL;
		pd_resp_taken_done(client->parser);
	}
	return outcome;
}

/* ---- the input ---- */

static void answer_malformed(struct pd_resp_client *client, const struct pd_error *err)
{
	struct pd_resp_writer reply = { .buffer = &client->connection->output, .protocol = client->protocol };
	size_t start = reply.buffer->size;

	client->closing = true;
	client->reply_mode = PD_RESP_REPLY_ON;
	pd_resp_write_error(&reply, err->text);
	if (reply.failed != 0 || !keep_reply(client, start, NULL, &reply))
		reply.buffer->size = start;
}

/* A reply is lost: what follows it must not take its place. What came before it still goes out. */
static void give_up(struct pd_resp_client *client, size_t start)
{
	client->front->unexpected_errors++;
	client->closing = true;
	client->connection->output.size = start;
}

/* Run one request of the input at `at`. Returns the bytes it took; 0: none is there, or none may run. */
static size_t run_next(struct pd_resp_client *client, size_t at)
{
	struct pd_connection *connection = client->connection;
	size_t start = connection->output.size;
	struct pd_resp_request request;
	struct pd_error err;
	size_t consumed;

	switch (pd_resp_parse(client->parser, connection->input.data + at, connection->input.size - at,
			      &request, &consumed, &client->input_wanted, &err)) {
	case PD_RESP_REQUEST:
		break;
	case PD_RESP_MORE:
		if (!pd_resp_access_recognize(client, &err)) {
			answer_malformed(client, &err);
		} else if (client->input_wanted > STRANGER_INPUT_MAX && !pd_resp_access_is_known(client)) {
			(void)pd_error_set(
				&err, PD_PERMISSION,
				"NOAUTH Authentication required before a request of more than %u bytes",
				STRANGER_INPUT_MAX);
			answer_malformed(client, &err);
		} else if (client->stage != NULL ||
			   client->input_wanted > pd_stage_least(client->front->engine)) {
			pd_resp_stage_input(client, at);
		}
		return 0;
	case PD_RESP_MALFORMED:
		answer_malformed(client, &err);
		return 0;
	}
	client->input_wanted = 0;
	if (request.count == 0)
		return consumed;
	switch (run_request(client, request.arguments, request.count)) {
	case DONE:
		break;
	case LATER:
		return 0;
	case UNKNOWN:
		give_up(client, start);
		break;
	}
	client->room_wanted = 0;
	/* What became of its password is of no use to the next request. */
	if (client->login != NULL) {
		pd_login_free(client->login);
		client->login = NULL;
	}
	if (pd_resp_client_unsent(client) > client->front->memory.unsent_max)
		pd_resp_front_stall(client, PD_RESP_STALL_UNSENT);
	return consumed;
}

/* ---- requests that there is no memory for ---- */

/* Answer the unfinished request with this error; the rest of it is dropped as it comes. */
static void refuse_unfinished(struct pd_resp_client *client, const char *text, const struct pd_wait *wait)
{
	struct pd_buffer *output = &client->connection->output;
	struct pd_resp_writer reply = { .buffer = output, .protocol = client->protocol };
	size_t start = output->size;

	pd_stage_free(client->stage);
	client->stage = NULL;
	if (output->max - output->size < ERROR_ROOM)
		output->max = output->size + ERROR_ROOM;
	pd_resp_write_error(&reply, text);
	if (reply.failed != 0 || !keep_reply(client, start, wait, &reply)) {
		give_up(client, start);
		return;
	}
	reject(client, NULL);
	client->idempotency_size = 0;
	client->skipping = true;
	client->input_wanted = 0;
}

static void refuse_for_memory(struct pd_resp_client *client, const char *why)
{
	struct pd_resp_memory *memory = &client->front->memory;
	struct pd_error err;

	(void)pd_error_set(&err, PD_NO_MEMORY,
			   "OOM %s (%llu MiB): send less at once, or raise --memory-budget", why,
			   (unsigned long long)(memory->max >> 20));
	refuse_unfinished(client, err.text, NULL);
	memory->refused_requests++;
}

void pd_resp_client_fail_request(struct pd_resp_client *client, int code, const struct pd_error *err)
{
	struct pd_wait wait = pd_engine_wait_now(client->front->engine);
	struct pd_error text;

	(void)pd_error_set(&text, code, "%s %s", pd_code_resp_prefix(code), err->text);
	refuse_unfinished(client, text.text, code == PD_FENCED ? NULL : &wait);
}

void pd_resp_client_deny_request(struct pd_resp_client *client, const struct pd_error *why)
{
	refuse_unfinished(client, why->text, NULL);
}

/* Drop what is there of the refused request at `at`. Returns how much; 0: nothing can be dropped yet. */
static size_t skip(struct pd_resp_client *client, size_t at)
{
	const struct pd_buffer *input = &client->connection->input;
	size_t consumed = 0;
	struct pd_error err;

	switch (pd_resp_skip(client->parser, input->data + at, input->size - at, &consumed, &err)) {
	case PD_RESP_REQUEST:
		client->skipping = false;
		return consumed;
	case PD_RESP_MORE:
		return consumed;
	case PD_RESP_MALFORMED:
		answer_malformed(client, &err);
		break;
	}
	return 0;
}

/* The requests that are complete have been run: may the one that is not go on? */
static void look_ahead(struct pd_resp_client *client)
{
	if (client->input_wanted != 0 && (client->stall != 0 || client->closing || client->skipping))
		return;
	switch (pd_resp_memory_grant(client, false)) {
	case PD_RESP_GRANTED:
		break;
	case PD_RESP_GRANT_LATER:
		pd_resp_front_stall(client, PD_RESP_STALL_MEMORY);
		break;
	case PD_RESP_GRANT_NEVER:
		refuse_for_memory(client, "this request is too large for the memory that clients may have");
		break;
	}
}

/* Run, or drop, what is complete in the input. */
static void run_input(struct pd_resp_client *client)
{
	struct pd_connection *connection = client->connection;
	const struct pd_buffer *output = &connection->output;
	size_t at = 0;

	while (!client->closing && client->stall == 0 && at < connection->input.size) {
		size_t consumed;

		/* The first has been looked at by pd_resp_memory_open_output(). */
		if (at > 0 && output->max - output->size <
				      (client->small_room ? ERROR_ROOM : client->front->memory.room_min)) {
			pd_resp_front_stall(client, PD_RESP_STALL_MEMORY);
			break;
		}
		consumed = client->skipping ? skip(client, at) : run_next(client, at);
		if (consumed == 0)
			break;
		at += consumed;
	}
	pd_buffer_consume(&connection->input, at);
}

void pd_resp_client_run(struct pd_resp_client *client)
{
	struct pd_connection *connection = client->connection;

	if (!pd_resp_memory_open_output(client))
		pd_resp_front_stall(client, PD_RESP_STALL_MEMORY);
	run_input(client);
	/* What was asked is lost: to close the connection is the only honest answer. */
	if (pd_connection_keep_input(connection) != 0)
		client->closing = true;
	look_ahead(client);
	if (client->skipping)
		run_input(client);
	pd_resp_memory_count(client);
	pd_connection_want_input(connection, client->stall == 0 && !client->closing);
	pd_resp_front_touch(client);
}

void pd_resp_client_refuse_request(struct pd_resp_client *client)
{
	refuse_for_memory(client,
			  "this request has stood still while others wait for the memory that clients may "
			  "have");
	pd_resp_front_unstall(client, client->stall & ~(unsigned)PD_RESP_STALL_MEMORY);
	client->granted = 0;
	pd_resp_client_run(client);
}
