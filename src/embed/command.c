/* Any command of the models, and replies as trees. */
#include <string.h>

#include "base/memory.h"
#include "embed/embed_private.h"
#include "model/kv/kv.h"
#include "model/relation/relation.h"

#define NAME_SIZE_MAX   32
#define REPLY_DEPTH_MAX 16 /* commands on data answer with lists of lists at most */

/* ---- commands by name ---- */

/* Few calls come here that could not name their command beforehand, and the table is short. */
const struct pd_command *pd_embed_command(struct pd_slice name)
{
	for (size_t i = 0; i < pd_kv_command_count; i++)
		if (pd_slice_equal_nocase(name, pd_kv_commands[i].name))
			return &pd_kv_commands[i];
	for (size_t i = 0; i < pd_relation_command_count; i++)
		if (pd_slice_equal_nocase(name, pd_relation_commands[i].name))
			return &pd_relation_commands[i];
	return NULL;
}

/* "object" "encoding" is the command object|encoding. */
static const struct pd_command *find(const struct perdure_bytes *words, size_t count)
{
	const struct pd_command *command = pd_embed_command(pd_embed_slice(words[0]));
	char joined[2 * NAME_SIZE_MAX + 1];
	size_t first = words[0].size;

	if (count < 2 || first > NAME_SIZE_MAX || words[1].size > NAME_SIZE_MAX || words[1].size == 0)
		return command;
	memcpy(joined, words[0].data, first);
	joined[first] = '|';
	memcpy(joined + first + 1, words[1].data, words[1].size);
	if (pd_embed_command(pd_slice(joined, first + 1 + words[1].size)) != NULL)
		command = pd_embed_command(pd_slice(joined, first + 1 + words[1].size));
	return command;
}

static int unknown(struct perdure_bytes name, struct perdure_error *err)
{
	return pd_embed_errorf(err, PERDURE_NOT_SUPPORTED,
			       "there is no command on data '%.*s': docs/commands.md lists them; what "
			       "belongs to connections and "
			       "servers has functions of its own here, or no meaning",
			       name.size < 64 ? (int)name.size : 64, (const char *)name.data);
}

static int check_words(size_t count, const struct perdure_bytes *words, const struct pd_command **ret_command,
		       struct perdure_error *err)
{
	const struct pd_command *command;

	if (count == 0 || words == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID, "a command has at least one word: its name");
	if (count > PD_RESP_ARGUMENTS_MAX)
		return pd_embed_errorf(err, PERDURE_TOO_LARGE, "a command may have %d words, not %zu",
				       PD_RESP_ARGUMENTS_MAX, count);
	for (size_t i = 0; i < count; i++)
		if (words[i].data == NULL && words[i].size > 0)
			return pd_embed_errorf(err, PERDURE_INVALID, "word %zu is at NULL and has a size", i);
	if (words[0].size == 0)
		return pd_embed_errorf(err, PERDURE_INVALID, "a command's name is not empty");
	command = find(words, count);
	if (command == NULL || command->evaluate == NULL)
		return unknown(words[0], err);
	if (command->arity >= 0 ? count != (size_t)command->arity : count < (size_t)-command->arity)
		return pd_embed_errorf(err, PERDURE_INVALID, "wrong number of words for '%s'", command->name);
	*ret_command = command;
	return 0;
}

/* Copy the words, each key with its actor in front. */
static int spell_words(struct perdure_session *session, const struct perdure_bytes *given,
		       struct pd_operation *operation, struct pd_keep *keep, struct perdure_error *err)
{
	const struct pd_command *command = operation->command;
	size_t first = command->first_key > 0 ? (size_t)command->first_key : operation->count;
	size_t last = command->last_key >= 0 ? (size_t)command->last_key : operation->count - 1;
	int result = 0;

	for (size_t i = 0; i < operation->count; i++)
		operation->words[i] = pd_embed_slice(given[i]);
	for (size_t i = first; result == 0 && i <= last && i < operation->count;
	     i += (size_t)command->key_step) {
		struct pd_slice *word = &operation->words[i], name;
		const uint8_t *end = word->size > 2 && word->data[0] == '{'
					     ? memchr(word->data + 1, '}', word->size - 1)
					     : NULL;

		if (end != NULL && end != word->data + 1)
			continue;
		result = pd_embed_name(session, perdure_data(NULL, 0), pd_embed_bytes(*word), &name, err);
		if (result != 0)
			break;
		result = pd_keep_copy(keep, name, word);
		if (result != 0)
			(void)pd_embed_errorf(err, result, "these words: %s", pd_code_text(result));
	}
	return result;
}

/* ---- replies ---- */

static struct {
	const char *prefix;
	int code;
} const codes[] = {
	{ "WRONGTYPE", PERDURE_WRONG_TYPE },
	/* Of relations, which have functions of their own. */
	{ "ERR there is no actor '", PERDURE_NOT_FOUND },
	{ "ERR actor '", PERDURE_TOO_LARGE },
};

int pd_embed_reply_error(struct pd_slice text, struct perdure_error *err)
{
	int code = PERDURE_INVALID;

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (pd_slice_starts_with(text, pd_slice_string(codes[i].prefix)))
			code = codes[i].code;
	return pd_embed_errorf(err, code, "%.*s", (int)text.size, (const char *)text.data);
}

/* How much a tree takes. */
struct measure {
	size_t nodes, bytes;
	bool too_deep;
};

static void measure(struct pd_slice *rest, unsigned depth, struct measure *measured)
{
	struct pd_reply reply = pd_reply_read(rest);

	measured->nodes++;
	if (reply.kind == PD_REPLY_TEXT || reply.kind == PD_REPLY_ERROR)
		measured->bytes += reply.text.size + 1;
	if (reply.kind != PD_REPLY_LIST)
		return;
	if (depth == REPLY_DEPTH_MAX) {
		measured->too_deep = true;
		return;
	}
	for (size_t i = 0; i < reply.count && !measured->too_deep; i++)
		measure(rest, depth + 1, measured);
}

/* Where the next nodes and bytes go. */
struct room {
	struct perdure_reply *nodes;
	char *bytes;
};

static struct perdure_bytes put_text(struct room *room, struct pd_slice text)
{
	char *at = room->bytes;

	if (text.size > 0)
		memcpy(at, text.data, text.size);
	at[text.size] = '\0';
	room->bytes += text.size + 1;
	return perdure_data(at, text.size);
}

static void build(struct pd_slice *rest, struct room *room, struct perdure_reply *node)
{
	bool map = rest->size > 0 && rest->data[0] == '%';
	struct pd_reply reply = pd_reply_read(rest);

	memset(node, 0, sizeof *node);
	switch (reply.kind) {
	case PD_REPLY_TEXT:
	case PD_REPLY_ERROR:
		node->kind = PERDURE_REPLY_TEXT;
		node->text = put_text(room, reply.text);
		break;
	case PD_REPLY_INTEGER:
		node->kind = PERDURE_REPLY_INTEGER;
		node->integer = reply.integer;
		break;
	case PD_REPLY_NULL:
		node->kind = PERDURE_REPLY_NULL;
		break;
	case PD_REPLY_LIST:
		node->kind = map ? PERDURE_REPLY_MAP : PERDURE_REPLY_LIST;
		node->count = reply.count;
		node->items = room->nodes;
		room->nodes += reply.count;
		for (size_t i = 0; i < reply.count; i++)
			build(rest, room, &node->items[i]);
		break;
	}
}

/* One block of memory: nodes, then bytes. */
int pd_embed_tree(struct pd_slice encoded, struct perdure_reply **ret_reply, struct perdure_error *err)
{
	struct measure measured = { 0 };
	struct pd_slice rest = encoded;
	struct perdure_reply *root;
	struct room room;

	measure(&rest, 0, &measured);
	if (measured.too_deep)
		return pd_embed_errorf(err, PERDURE_TOO_LARGE, "the reply is nested too deeply");
	root = pd_malloc(measured.nodes * sizeof *root + measured.bytes);
	if (root == NULL)
		return pd_embed_errorf(err, PERDURE_NO_MEMORY, "done, but there was no memory for the reply");
	room.nodes = root + 1;
	room.bytes = (char *)(root + measured.nodes);
	build(&encoded, &room, root);
	*ret_reply = root;
	return 0;
}

void perdure_reply_free(struct perdure_reply *reply)
{
	pd_free(reply);
}

/* ---- public ---- */

int perdure_command(struct perdure_session *session, size_t count, const struct perdure_bytes *words,
		    struct perdure_reply **ret_reply, struct perdure_error *err)
{
	struct pd_operation operation = { .count = count };
	struct pd_slice encoded;
	struct pd_keep keep;
	int result = check_words(count, words, &operation.command, err);

	if (result == 0)
		result = pd_embed_enter(session, err);
	if (result != 0)
		return result;
	pd_keep_init(&keep, PERDURE_TRANSACTION_SIZE_MAX);
	operation.words = pd_malloc(count * sizeof *operation.words);
	if (operation.words == NULL)
		result = pd_embed_errorf(err, PERDURE_NO_MEMORY, "out of memory");
	if (result == 0)
		result = spell_words(session, words, &operation, &keep, err);
	if (result == 0)
		result = pd_embed_do(session, &operation, &encoded, err);
	if (result == 0 && ret_reply != NULL)
		result = pd_embed_tree(encoded, ret_reply, err);
	pd_free(operation.words);
	pd_keep_clear(&keep);
	pd_embed_leave(session);
	return result;
}
