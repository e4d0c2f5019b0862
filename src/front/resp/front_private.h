/* What the files of src/front/resp share. */
#ifndef PD_FRONT_RESP_FRONT_PRIVATE_H
#define PD_FRONT_RESP_FRONT_PRIVATE_H

#include "engine/blob.h"
#include "front/resp/figures.h"
#include "front/resp/front.h"
#include "front/resp/hold.h"
#include "front/resp/keyspace.h"
#include "front/resp/latency.h"
#include "front/resp/memory.h"
#include "front/resp/pubsub.h"
#include "front/resp/push.h"
#include "front/resp/registry.h"
#include "front/resp/show.h"
#include "front/resp/slowlog.h"
#include "front/resp/transaction.h"
#include "model/command.h"
#include "restore/transfer.h"
#include "store/store.h"
#include "wire/resp.h"

#define PD_RESP_VERSION             "7.0.15" /* the Redis whose behaviour this door has */
#define PD_RESP_IDEMPOTENCY_KEY_MAX 256
#define PD_RESP_REQUEST_ID_MAX      128
#define PD_RESP_TURNS               1024u /* whose time is remembered: more than ever settle together */

#define PD_RESP_RESTORE_LOOK_NS 500000u /* between two looks how far orders about the past are */

/* Why a client's requests wait. */
enum pd_resp_stall {
	PD_RESP_STALL_UNSENT = 1 << 0, /* it does not take its replies */
	PD_RESP_STALL_HELD = 1 << 1,   /* the next request is about what is still held */
	PD_RESP_STALL_PAUSE = 1 << 2,  /* CLIENT PAUSE */
	PD_RESP_STALL_MEMORY = 1 << 3, /* others have all of the clients' memory */
	PD_RESP_STALL_LOGIN = 1 << 5,  /* a password is being checked, or made into a verifier */
	PD_RESP_STALL_BRAKE = 1 << 4,  /* the store must catch up before it takes the next write */
	PD_RESP_STALL_STREAM = 1 << 6, /* a reply with large strings in it is still being read */
};

enum pd_resp_reply_mode {
	PD_RESP_REPLY_ON,
	PD_RESP_REPLY_OFF,
	PD_RESP_REPLY_SKIP_NEXT, /* CLIENT REPLY SKIP: the reply of the next command … */
	PD_RESP_REPLY_SKIP,      /* … which is this one */
};

struct pd_history_job;
struct pd_history_jobs;
struct pd_lease_info;
struct pd_login;
struct pd_memory_report;
struct pd_quotas;
struct pd_restore_job;
struct pd_backup_jobs;
struct pd_restore_jobs;
struct pd_state_hash;
struct pd_user;

/* The rest of a reply with large strings in it: see large.c. */
#define PD_RESP_HOLES_MAX 16 /* large strings of one reply; more are written into it whole */
struct pd_resp_stream {
	struct pd_resp_hole holes[PD_RESP_HOLES_MAX]; /* offsets are those in `rest` */
	size_t count, next;
	struct pd_buffer rest; /* of the reply, from the first hole on */
	size_t taken;
	struct pd_buffer pushed; /* messages that have come meanwhile: they go behind it */
	struct pd_wait wait;     /* and what they wait for */
};

struct pd_resp_client {
	struct pd_resp_front *front;
	struct pd_connection *connection;
	struct pd_session *session; /* made when first needed: not before recovery is done */
	const struct pd_user *user; /* who has logged in; NULL: nobody. Closed before the user goes */
	struct pd_login *login;     /* of the request that waits for it */
	uint64_t login_look_ns;     /* then it is seen whether anybody is still there */
	struct pd_resp_parser *parser;
	struct pd_resp_hold hold;
	uint64_t base;       /* position (see hold.h) of output.data[0] */
	size_t input_wanted; /* how large the unfinished request is known to become */
	size_t granted;      /* input that it may have: see memory.h */
	size_t room_wanted; /* for the reply of the next request, which did not fit; SIZE_MAX: what there is must do */
	size_t memory;           /* as it was counted last */
	uint64_t brake_until_ns; /* monotonic */
	bool order_waits;        /* the brake ends when its order has waited long enough for others */
	bool small_room;         /* its replies have a little of what is set aside for them */
	bool skipping;           /* an unfinished request was refused: its rest is dropped as it comes */
	bool is_operator;        /* through the admin socket */
	int protocol;
	unsigned stall; /* enum pd_resp_stall */
	enum pd_resp_reply_mode reply_mode;
	bool closing;                            /* runs nothing any more; closed when its replies are out */
	bool touched, holding, stalled, waiting; /* in the front's lists */
	bool no_evict, no_touch;
	bool monitoring;
	bool sleeping; /* DEBUG SLEEP: the next run of it ends it */
	bool overrun;  /* it does not take its messages: closed without sending the rest */

	struct pd_resp_stream *stream; /* NULL: no reply is on its way in pieces */
	struct pd_stage *stage; /* of the unfinished request; NULL: nothing of it was given to the engine */
	struct pd_resp_transaction transaction;
	struct pd_resp_subscriber subscriber;
	uint64_t soft_since_ns; /* over the soft limit of messages; 0: it is not */
	uint8_t idempotency_key[PD_RESP_IDEMPOTENCY_KEY_MAX];
	size_t idempotency_size; /* 0: none was given */
	uint8_t request_id[PD_RESP_REQUEST_ID_MAX];
	size_t request_id_size;       /* 0: none */
	struct pd_receipt last_write; /* lsn 0: none */
	const struct pd_resp_entry *last_command;
	struct pd_state_hash *hash;         /* that PD.STATEHASH waits for; NULL: none */
	struct pd_history_job *history_job; /* that PD.ACTOR HISTORY and its like wait for; NULL: none */
	struct pd_restore_job *restore_job; /* that PD.ACTOR FORK and its like wait for; NULL: none */
	struct pd_transfer transfer;        /* PD.ACTOR EXPORT or IMPORT, from one command to the next */

	char *name, *library_name, *library_version; /* NULL: not given */
	uint64_t since_ns, last_ns, sent_ns;         /* monotonic: made, last bytes received and sent */
	size_t slot;                                 /* in front->clients */
};

/* A list of clients in which a closed one leaves a hole. Has room for every client. */
struct pd_resp_list {
	struct pd_resp_client **items;
	size_t count;
};

#define PD_RESP_ERROR_PREFIX_SIZE 24
#define PD_RESP_ERRORS_MAX        32 /* kinds of errors that are counted by themselves */
struct pd_resp_error_count {
	char prefix[PD_RESP_ERROR_PREFIX_SIZE]; /* "ERR", "WRONGTYPE" … */
	uint64_t count;
};

struct pd_resp_front {
	struct pd_resp_front_options options;
	struct pd_os *os;
	struct pd_net *net;
	struct pd_engine *engine;
	const struct pd_backup_scheduler *scheduler; /* NULL: the server makes no backups by itself */
	const struct pd_archive *archive;            /* NULL: none */
	struct pd_resp_registry registry;
	struct pd_history_jobs *history_jobs; /* made when first needed */
	struct pd_restore_jobs *restore_jobs; /* the same */
	struct pd_backup_jobs *backup_jobs;   /* the same */

	struct pd_resp_client **clients; /* count, capacity: */
	size_t client_count, client_capacity;
	struct pd_resp_list touched; /* have had something to do in this turn */
	struct pd_resp_list holding; /* have held replies */
	struct pd_resp_list stalled; /* have requests that wait */
	uint64_t turn;

	uint64_t clock_ns; /* monotonic, when the last command ended */
	uint64_t started_ns, started_real_us;
	uint64_t pause_until_ns;
	bool pause_writes_only;
	bool loading, shutdown, stopping;
	struct pd_recovery progress;

	struct pd_resp_memory memory;
	struct pd_resp_pubsub pubsub;
	struct pd_resp_pushes pushes;
	struct pd_resp_client *monitors[PD_RESP_MONITORS_MAX];
	size_t monitor_count;
	unsigned notify;    /* which events of keys are told: keyspace.c */
	unsigned listening; /* which of them the engine is asked for */
	struct pd_buffer keyspace_text;
	char notice[300];
	struct pd_resp_slowlog slowlog;
	struct pd_resp_latency latency;
	struct pd_resp_error_count errors[PD_RESP_ERRORS_MAX];
	size_t error_count;
	uint64_t error_replies;
	struct pd_resp_counters counters;
	size_t operator_count;
	uint64_t turn_ns[PD_RESP_TURNS]; /* when the last command of a turn ended, by turn */
	uint64_t commands, rejected_calls, unexpected_errors;
	uint64_t net_accepted_base, net_refused_base, net_received_base, net_sent_base; /* CONFIG RESETSTAT */
};

/* One command that the front answers itself. */
struct pd_resp_call {
	struct pd_resp_client *client;
	struct pd_resp_entry *entry;
	const struct pd_slice *words;
	size_t count;
	struct pd_resp_writer *reply;
	const struct pd_wait *wait; /* what the reply waits for; NULL: nothing */
	struct pd_wait wait_storage;
	bool is_push; /* shown also to one who wants no replies */
	bool later;   /* nothing has happened, and the client is stalled: ask again */
};

struct pd_resp_command {
	struct pd_command command;
	/* Writes exactly one reply. */
	void (*answer)(struct pd_resp_call *call);
	bool settles_first; /* runs when nothing of this client is held any more */
};

/* One table a subject. */
struct pd_resp_commands {
	const struct pd_resp_command *commands;
	size_t count;
};
extern const struct pd_resp_commands pd_resp_commands_connection, pd_resp_commands_client,
	pd_resp_commands_acl, pd_resp_commands_command, pd_resp_commands_config, pd_resp_commands_server,
	pd_resp_commands_transaction, pd_resp_commands_perdure, pd_resp_commands_upkeep,
	pd_resp_commands_archive, pd_resp_commands_pubsub, pd_resp_commands_memory, pd_resp_commands_debug,
	pd_resp_commands_latency, pd_resp_commands_actor, pd_resp_commands_lease, pd_resp_commands_profile,
	pd_resp_commands_history, pd_resp_commands_restore, pd_resp_commands_snapshot,
	pd_resp_commands_transfer, pd_resp_commands_backup;

/* ---- front.c: lists and time ---- */
void pd_resp_front_touch(struct pd_resp_client *client);
void pd_resp_front_stall(struct pd_resp_client *client, unsigned why);
/* Only these reasons are left. */
void pd_resp_front_unstall(struct pd_resp_client *client, unsigned left);
bool pd_resp_front_paused(const struct pd_resp_front *front, const struct pd_resp_client *client,
			  const struct pd_resp_entry *entry);

/* ---- client.c ---- */
PD_MUST_CHECK int pd_resp_client_new(struct pd_resp_front *front, struct pd_connection *connection,
				     bool is_operator);
/* Close the connection and free the client; it leaves every list. */
void pd_resp_client_close(struct pd_resp_client *client);
/* NULL: no memory. */
struct pd_session *pd_resp_client_session(struct pd_resp_client *client);
/* Whose names it sees. */
struct pd_slice pd_resp_client_tenant(const struct pd_resp_client *client);
static inline struct pd_resp_client *pd_resp_client_of_subscriber(struct pd_resp_subscriber *subscriber)
{
	return (struct pd_resp_client *)((char *)subscriber - offsetof(struct pd_resp_client, subscriber));
}
/* Send what may be sent. The client may be closed and gone when it returns: false. */
bool pd_resp_client_send(struct pd_resp_client *client);
/* The same, without a look at what comes of it. */
void pd_resp_client_push(struct pd_resp_client *client);
size_t pd_resp_client_unsent(const struct pd_resp_client *client);
/* Replace a text (NULL or empty: none). PD_NO_MEMORY. */
PD_MUST_CHECK int pd_resp_client_set_text(char **text, struct pd_slice value);
PD_MUST_CHECK int pd_resp_client_set_name(struct pd_resp_client *client, struct pd_slice name);

/* ---- run.c ---- */
/* Run the requests that are complete in the input, as far as the client may. */
void pd_resp_client_run(struct pd_resp_client *client);
/* Refuse the unfinished request in the input: others wait for the memory that it was granted. */
void pd_resp_client_refuse_request(struct pd_resp_client *client);
/* EXEC. */
void pd_resp_run_transaction(struct pd_resp_call *call);
/* Did the engine say "not yet", before it did anything? Then the client is stalled until it may ask again. */
bool pd_resp_must_wait(struct pd_resp_client *client, int result, const struct pd_receipt *receipt);
/* Write the error that the engine gave. */
void pd_resp_write_engine_error(struct pd_resp_writer *reply, int code, const struct pd_error *err);

/* ---- access.c ---- */
/* It may be known by its certificate. false: what it asked for as nobody would end unsaid; `why` tells it so, with its prefix, and the
 * connection ends after that. */
bool pd_resp_access_recognize(struct pd_resp_client *client, struct pd_error *why);
/* May this client run the command? If not, `why` has the error, with its prefix. */
bool pd_resp_access_admits(const struct pd_resp_client *client, const struct pd_resp_entry *entry,
			   struct pd_error *why);
/* Has it said who it is, as far as it has to? */
bool pd_resp_access_is_known(const struct pd_resp_client *client);
enum pd_resp_login_outcome {
	PD_RESP_LOGIN_DONE,    /* it is that user now; or nobody has to log in */
	PD_RESP_LOGIN_LATER,   /* call->later is set */
	PD_RESP_LOGIN_REFUSED, /* the error is written */
};
enum pd_resp_login_outcome pd_resp_log_in(struct pd_resp_call *call, struct pd_slice name,
					  struct pd_slice password);
/* Has the login of this call, begun before, ended? If not, the client is stalled until it has. */
bool pd_resp_login_ended(struct pd_resp_call *call);
/* A client that waits for its login is not read from, so that it goes unnoticed when it ends: has it gone? */
bool pd_resp_login_abandoned(struct pd_resp_client *client, uint64_t now_ns);
/* It is this user from now on; NULL: nobody. */
void pd_resp_client_become(struct pd_resp_client *client, const struct pd_user *user);
/* Close the connections of a user, but for one client's (may be NULL). */
void pd_resp_front_close_user(struct pd_resp_front *front, const struct pd_user *user,
			      const struct pd_resp_client *but);
/* There is a first user now: close the connections of those who listen and have not logged in. */
void pd_resp_front_close_strangers(struct pd_resp_front *front);
const char *pd_resp_client_user_name(const struct pd_resp_client *client);
/* Refuse the unfinished request because of this. */
void pd_resp_client_fail_request(struct pd_resp_client *client, int code, const struct pd_error *err);
/* The same with an error that begins with its prefix. */
void pd_resp_client_deny_request(struct pd_resp_client *client, const struct pd_error *why);

/* ---- large.c: values that are larger than what one turn should deal with ---- */
/* The reply that ends the output has holes: what is behind the first leaves the output, to come again in pieces when what is before
 * it has been sent. PD_NO_MEMORY. */
PD_MUST_CHECK int pd_resp_stream_begin(struct pd_resp_client *client, struct pd_resp_writer *reply);
/* Nobody will read them. */
void pd_resp_holes_drop(struct pd_resp_writer *reply);
void pd_resp_stream_free(struct pd_resp_client *client);
/* Bytes allocated. */
size_t pd_resp_stream_memory(const struct pd_resp_client *client);
/* A message comes while a reply is on its way in pieces: it goes behind that. PD_NO_MEMORY, PD_TOO_LARGE. */
PD_MUST_CHECK int pd_resp_stream_push(struct pd_resp_client *client, struct pd_slice bytes,
				      const struct pd_wait *wait);
/* All of the output has gone, and the reply's next pieces could go out? */
bool pd_resp_stream_ready(const struct pd_resp_client *client);
/* Move on as far as the client takes it, at most so much as is fair in a turn. false: the bytes cannot be had, the connection can
 * only be closed. */
PD_MUST_CHECK bool pd_resp_stream_move(struct pd_resp_client *client);
/* A request is unfinished at `at` of the input: if what is arriving is a large value, what is there of it goes to the engine. */
void pd_resp_stage_input(struct pd_resp_client *client, size_t at);

/* ---- unbuilt.c ---- */
/* Why a command that a client may know is not here, in words; NULL: nobody would expect it. */
const char *pd_resp_why_unknown(struct pd_slice word);

/* ---- help.c ---- */
/* The page of a container: its lines, between a heading and those about HELP itself. */
void pd_resp_write_help(struct pd_resp_writer *reply, const char *container, const char *const *lines,
			size_t count);
/* Too many arguments for a subcommand, in Redis's words. */
void pd_resp_write_subcommand_error(struct pd_resp_call *call);
/* ---- command_actor.c ---- */
/* The session, or NULL with the error written. */
struct pd_session *pd_resp_need_session(struct pd_resp_call *call);
/* The reply shows something that has not settled yet. */
void pd_resp_wait_for_now(struct pd_resp_call *call);
/* A number from `least` to `most`, or the error is written: "`what` is a number from …". */
bool pd_resp_parse_number(struct pd_resp_call *call, const char *what, struct pd_slice word, int64_t least,
			  int64_t most, uint64_t *ret_number);
/* ---- command_profile.c ---- */
/* Two fields of a map: how many, and how exact that is. */
void pd_resp_write_bytes(struct pd_resp_writer *reply, uint64_t bytes, enum pd_bytes_known known);
/* Three fields of a map. */
void pd_resp_write_quotas(struct pd_resp_writer *reply, const struct pd_quotas *quotas);
/* ---- command_lease.c ---- */
/* Four fields of a map. */
void pd_resp_write_lease(struct pd_resp_writer *reply, const struct pd_lease_info *lease);
/* ---- command_upkeep.c ---- */
void pd_resp_read_memory(const struct pd_resp_front *front, struct pd_memory_report *ret_report);
/* ---- info.c ---- */
void pd_resp_answer_info(struct pd_resp_call *call);

#endif
