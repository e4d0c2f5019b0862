/* Relations between actors: the commands of the model, with names and options in their places. */
#include <string.h>

#include "embed/embed_private.h"
#include "model/relation/relation.h"

#define WORDS_MAX 9u
#define ALL       "10000" /* more than one has: a page is all of them */

struct words {
	struct pd_slice items[WORDS_MAX];
	size_t count;
};

static void add(struct words *words, struct perdure_bytes word)
{
	words->items[words->count++] = pd_embed_slice(word);
}

/* A session is a tenant's, so an actor is named without one. */
static int add_actor(struct words *words, struct perdure_bytes name, struct perdure_error *err)
{
	if (name.data == NULL && name.size > 0)
		return pd_embed_errorf(err, PERDURE_INVALID, "bytes at NULL have size 0");
	if (!pd_actor_name_is_good(pd_embed_slice(name)))
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"'%.*s' is no actor's name: it has 1 to %u bytes, none of them {, } or /",
			name.size < 64 ? (int)name.size : 64, (const char *)name.data, PERDURE_NAME_SIZE_MAX);
	add(words, name);
	return 0;
}

static void add_kind(struct words *words, const char *kind)
{
	if (kind == NULL)
		return;
	add(words, perdure_text("KIND"));
	add(words, perdure_text(kind));
}

static int begin(struct words *words, const char *subcommand, struct perdure_bytes actor,
		 struct perdure_error *err)
{
	*words = (struct words){ 0 };
	add(words, perdure_text("PD.ACTOR"));
	add(words, perdure_text(subcommand));
	return add_actor(words, actor, err);
}

/* The reply: a number, into *ret_number, which may be NULL; with ret_reply a cursor, which is 0, and a list, of which that is a tree. */
static int run(struct perdure_session *session, const char *name, struct words *words, int *ret_number,
	       struct perdure_reply **ret_reply, struct perdure_error *err)
{
	struct pd_operation operation = { .command = pd_embed_command(pd_slice_string(name)),
					  .words = words->items,
					  .count = words->count };
	struct pd_slice encoded;
	int result = pd_embed_enter(session, err);

	if (result != 0)
		return result;
	result = pd_embed_check_outside(session, err);
	if (result == 0)
		result = pd_embed_do(session, &operation, &encoded, err);
	if (result == 0 && ret_reply != NULL) {
		(void)pd_reply_read(&encoded);
		pd_reply_skip(&encoded);
		result = pd_embed_tree(encoded, ret_reply, err);
	} else if (result == 0 && ret_number != NULL) {
		*ret_number = (int)pd_reply_read(&encoded).integer;
	}
	pd_embed_leave(session);
	return result;
}

/* ---- public ---- */

int perdure_actor_relate(struct perdure_session *session, struct perdure_bytes from, struct perdure_bytes to,
			 const char *kind, struct perdure_bytes data, int *ret_new, struct perdure_error *err)
{
	struct words words;
	int result = begin(&words, "RELATE", from, err);

	if (result == 0)
		result = add_actor(&words, to, err);
	if (result == 0 && data.data == NULL && data.size > 0)
		result = pd_embed_errorf(err, PERDURE_INVALID, "bytes at NULL have size 0");
	if (result != 0)
		return result;
	add_kind(&words, kind);
	add(&words, perdure_text("DATA"));
	add(&words, data);
	return run(session, "pd.actor|relate", &words, ret_new, NULL, err);
}

int perdure_actor_unrelate(struct perdure_session *session, struct perdure_bytes from,
			   struct perdure_bytes to, const char *kind, int *ret_was_there,
			   struct perdure_error *err)
{
	struct words words;
	int result = begin(&words, "UNRELATE", from, err);

	if (result == 0)
		result = add_actor(&words, to, err);
	if (result != 0)
		return result;
	add_kind(&words, kind);
	return run(session, "pd.actor|unrelate", &words, ret_was_there, NULL, err);
}

int perdure_actor_relations(struct perdure_session *session, struct perdure_bytes actor, int directions,
			    const char *kind, struct perdure_reply **ret_reply, struct perdure_error *err)
{
	static const char *const names[] = { [PERDURE_RELATIONS_IN] = "IN",
					     [PERDURE_RELATIONS_OUT] = "OUT",
					     [PERDURE_RELATIONS_BOTH] = "BOTH" };
	struct words words;
	int result;

	if (directions < PERDURE_RELATIONS_IN || directions > PERDURE_RELATIONS_BOTH || ret_reply == NULL)
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"relations are asked for in PERDURE_RELATIONS_IN, _OUT or _BOTH, with a "
			"place for the reply");
	result = begin(&words, "RELATIONS", actor, err);
	if (result != 0)
		return result;
	add(&words, perdure_text(names[directions]));
	add_kind(&words, kind);
	add(&words, perdure_text("COUNT"));
	add(&words, perdure_text(ALL));
	return run(session, "pd.actor|relations", &words, NULL, ret_reply, err);
}
