/* What the files of src/server share. */
#ifndef PD_SERVER_SERVER_PRIVATE_H
#define PD_SERVER_SERVER_PRIVATE_H

#include "config/config.h"
#include "engine/budget.h"
#include "engine/engine.h"
#include "engine/upkeep.h"
#include "front/http/front.h"
#include "front/resp/front.h"
#include "net/net.h"
#include "os/os.h"
#include "os/service.h"
#include "server/message.h"
#include "server/pages.h"
#include "security/login.h"
#include "security/user.h"
#include "server/state_notice.h"
#include "server/server.h"

struct pd_archive;
struct pd_backup_scheduler;

/* What of the archive has been told already. */
struct pd_archive_notices {
	bool fails, let_go, held;
	unsigned state; /* enum pd_archive_state */
	uint64_t gaps;
};

struct pd_server {
	struct pd_config *config;
	struct pd_server_options options; /* as it was at the start */
	struct pd_messages messages;
	struct pd_os *os;
	struct pd_os_notify *notify; /* the service manager; NULL: none */
	struct pd_engine *engine;
	struct pd_net *net;
	struct pd_resp_front *resp;
	struct pd_users users; /* after recovery */
	struct pd_logins *logins;
	unsigned long long tls_failures_told;
	bool unguarded; /* there is no user, and there must be */
	struct pd_http_front *http;
	struct pd_pages_source pages;
	struct pd_budget_plan plan; /* of the memory */
	bool stopping, recovered;
	struct pd_recovery recovery; /* how far it has come */
	bool descriptor_watched;
	bool fence_told, disk_full_told;
	struct pd_state_notices state_notices;
	struct pd_archive *archive; /* after recovery; NULL: none */
	struct pd_archive_notices archive_notices;
	struct pd_backup_scheduler *backups; /* after recovery; NULL: it makes none by itself */
	bool backups_changed;                /* their settings have */
	uint64_t next_tick_us, next_notice_us, looked_us;
	uint64_t started_real_us;
	uint64_t next_watchdog_us, next_status_us;
	uint64_t told_bytes, told_records; /* of recovery, to the service manager */
};

enum { TAG_RESP = 1, TAG_ENGINE, TAG_ADMIN, TAG_RESP_TLS, TAG_HTTP };

/* ---- server.c ---- */
/* Divide the memory budget of the options, and say so. */
void pd_server_plan_memory(struct pd_server *server);

/* ---- loop.c ---- */
/* Replay the log, answering what can be answered meanwhile. */
PD_MUST_CHECK int pd_server_recover(struct pd_server *server, struct pd_error *err);
/* Serve until told to stop. */
PD_MUST_CHECK int pd_server_serve(struct pd_server *server, struct pd_error *err);
/* Let what has been asked for be answered, within a few seconds. */
void pd_server_drain(struct pd_server *server);

/* ---- look.c ---- */
void pd_server_open_pages(struct pd_server *server);

/* ---- archive.c ---- */
/* Where the settings say that it is; address "": nowhere. Texts are the configuration's. */
struct pd_object_place pd_server_archive_place(const struct pd_config *config);
/* After recovery: begin following the log into the archive of the settings, if there is one. */
PD_MUST_CHECK int pd_server_open_archive(struct pd_server *server, struct pd_error *err);
void pd_server_tick_archive(struct pd_server *server, uint64_t now_us);
/* When that is due, monotonic; UINT64_MAX: never. */
uint64_t pd_server_archive_due_us(const struct pd_server *server);
/* Up to which LSN all is archived; while there is an archive. */
uint64_t pd_server_archived_lsn(const struct pd_server *server);
/* Before the engine is closed. */
void pd_server_close_archive(struct pd_server *server);
void pd_server_look_at_archive(const struct pd_server *server, struct pd_metrics_facts *facts);

/* ---- backup.c ---- */
/* After recovery: make backups by the schedules of the settings, if there are any. */
PD_MUST_CHECK int pd_server_open_backups(struct pd_server *server, struct pd_error *err);
/* One of their settings is to become `text` (NULL: it is no text); it counts when the loop comes to it. PD_INVALID: it makes no sense. */
PD_MUST_CHECK int pd_server_change_backups(struct pd_server *server, enum pd_setting_id id, const char *text,
					   struct pd_error *err);
void pd_server_tick_backups(struct pd_server *server, uint64_t now_us);
/* When that is due, monotonic; UINT64_MAX: never. */
uint64_t pd_server_backups_due_us(const struct pd_server *server);
/* Before the front is. */
void pd_server_close_backups(struct pd_server *server);
void pd_server_look_at_backups(const struct pd_server *server, struct pd_metrics_facts *facts);

/* ---- access.c ---- */
/* Is it reached from other machines, and has to know who asks? */
bool pd_server_is_guarded(const struct pd_server *server);
/* After recovery: who the users are. PD_PERMISSION: there is none, and there must be. */
PD_MUST_CHECK int pd_server_load_users(struct pd_server *server, struct pd_error *err);

/* ---- tls.c ---- */
/* Listen for TLS, if that is asked for. */
PD_MUST_CHECK int pd_server_open_tls(struct pd_server *server, struct pd_error *err);
/* Let a listener speak TLS, if it has a port. */
PD_MUST_CHECK int pd_server_listen_tls(struct pd_server *server, struct pd_net_listener_options *listener,
				       struct pd_error *err);
/* Is there a certificate to be read again? */
bool pd_server_has_tls(const struct pd_server *server);
/* Read the certificate again. */
void pd_server_reload_tls(struct pd_server *server);
/* Say that handshakes have failed since it was said last; and whether there is that to say. */
bool pd_server_has_tls_notice(const struct pd_server *server);
void pd_server_notice_tls(struct pd_server *server);

/* ---- options.c ---- */
/* Let the configuration change what runs, and begin with what it says now about that. */
PD_MUST_CHECK int pd_server_attach_config(struct pd_server *server, struct pd_error *err);
/* Load it anew, and say what came of it. */
void pd_server_reload(struct pd_server *server);

/* ---- manager.c ---- */
/* How far recovery is, once a second; more time to start is asked for as long as it gets on. */
void pd_server_tell_recovery(struct pd_server *server, uint64_t now_us);
void pd_server_tell_ready(struct pd_server *server);
void pd_server_tell_stopping(struct pd_server *server);
/* The loop turns. */
void pd_server_tell_alive(struct pd_server *server, uint64_t now_us);
/* When that must be told next, monotonic; UINT64_MAX: nobody wants to hear it. */
uint64_t pd_server_watchdog_due_us(const struct pd_server *server);

/* ---- notice.c ---- */
/* Recovery as it goes on: a bar on a terminal, a line now and then elsewhere. */
struct pd_server_progress {
	bool bar, shown;
	uint64_t next_us;
};
void pd_server_progress_begin(struct pd_server_progress *progress, const struct pd_server *server);
void pd_server_progress_show(struct pd_server_progress *progress, struct pd_server *server, uint64_t now_us);
void pd_server_progress_end(struct pd_server_progress *progress, const struct pd_recovery *recovery,
			    struct pd_server *server);
/* Say once that the log is fenced, and each time that the disk fills up or has room again. */
void pd_server_notice_changes(struct pd_server *server);
/* Say what is new about the state on disk. Once a second is enough. */
void pd_server_notice_state(struct pd_server *server, uint64_t now_us);

#endif
