/* The one table of settings. Flags of `perdure server`, PERDURE_* variables, the keys of a configuration file, CONFIG GET and
 * SET, and docs/configuration.md all follow from it: to add a setting is to add a row, and to read it where it counts
 * (pd_config_number() and its like in config/config.h). One that can change while the server runs is applied by
 * src/server/apply.c.
 *
 *     --retention-time 2h     PERDURE_RETENTION_TIME=2h     [retention] time = "2h"     CONFIG SET perdure-retention-time 2h */
#ifndef PD_CONFIG_SETTING_H
#define PD_CONFIG_SETTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "engine/budget.h"
#include "log/log.h"

enum pd_setting_kind {
	PD_SETTING_SWITCH,   /* yes|no|true|false|on|off|1|0 */
	PD_SETTING_TEXT,     /* any */
	PD_SETTING_NUMBER,   /* a whole one */
	PD_SETTING_SIZE,     /* bytes: "100k" "64MiB" "1GiB"; units are powers of 1024 */
	PD_SETTING_DURATION, /* milliseconds: "100ms" "2s" "5m" "1h" "7d"; without a unit: milliseconds */
	PD_SETTING_CHOICE,   /* one of the words in `argument`, which "|" separates */
};

enum pd_setting_flags {
	PD_SETTING_LIVE = 1 << 0,   /* CONFIG SET and SIGHUP change it in a running server */
	PD_SETTING_SECRET = 1 << 1, /* never shown; not taken from a command line, which everybody can read */
	PD_SETTING_AUTO = 1 << 2,   /* the word "auto" is a value, too: 0, chosen by the server */
};

/* X(id, name, path, redis, kind, flags, least, most, initial, argument, help)
 *
 * name: the flag without "--", and with capitals and "_" behind PERDURE_. path: the key in a file. redis: what CONFIG GET calls
 * it; NULL: "perdure-" and the name. least, most: the range; most 0: no limit. initial: the default. argument: of the flag; NULL
 * for a switch. help: lines of at most 100 characters. */
#define PD_SETTING_LIST(X)                                                                                   \
	X(DATA, "data", "server.data", "dir", TEXT, 0, 0, 0, "./data", "DIR",                                \
	  "Directory of the data (default ./data), created if missing. One server at a time.")               \
	X(MEMORY, "memory", "server.memory", NULL, SWITCH, 0, 0, 0, "no", NULL,                              \
	  "Keep everything in memory and write no files: all is gone when the server ends.")                 \
	X(ACCEPT_DAMAGE, "accept-damage", "server.accept-damage", NULL, SWITCH, 0, 0, 0, "no", NULL,         \
	  "Serve what can be read of a damaged log, even where nothing tells which actors have lost\n"       \
	  "writes. Look at 'perdure log verify' first.")                                                     \
	X(RESP, "resp", "server.resp", "port", NUMBER, 0, 0, 65535, "7379", "PORT",                          \
	  "Port of the Redis protocol (default 7379); 0 closes this door.")                                  \
	X(PG, "pg", "server.pg", NULL, NUMBER, 0, 0, 65535, "0", "PORT",                                     \
	  "Port of the PostgreSQL protocol: not built yet, only 0 is taken.")                                \
	X(HTTP, "http", "server.http", NULL, NUMBER, 0, 0, 65535, "8080", "PORT",                            \
	  "Port of HTTP (default 8080), for /livez, /readyz, /health and /metrics; 0 closes this door.")     \
	X(HTTP_BIND, "http-bind", "server.http-bind", NULL, TEXT, 0, 0, 0, "127.0.0.1", "ADDRESS",           \
	  "Address that HTTP listens on (default 127.0.0.1). Its pages hold figures and no data.")           \
	X(HTTPS, "https", "server.https", NULL, NUMBER, 0, 0, 65535, "0", "PORT",                            \
	  "Port of HTTP over TLS (default 0: closed), with the certificate of --tls-cert-file.")             \
	X(HTTP_LOGIN, "http-login", "server.http-login", NULL, CHOICE, 0, 0, 0, "remote",                    \
	  "remote|always|never",                                                                             \
	  "Who has to log in to read /metrics and /health: remote (default remote), clients of other\n"      \
	  "machines; always, everybody as soon as there is a user; never, nobody.")                          \
	X(GRPC, "grpc", "server.grpc", NULL, NUMBER, 0, 0, 65535, "0", "PORT",                               \
	  "Port of gRPC: not built yet, only 0 is taken.")                                                   \
	X(BIND, "bind", "server.bind", "bind", TEXT, 0, 0, 0, "127.0.0.1", "ADDRESS",                        \
	  "Address to listen on (default 127.0.0.1), numeric. With any that other machines reach there\n"    \
	  "must be a user: see 'perdure user --help'.")                                                      \
	X(MAX_CLIENTS, "max-clients", "server.max-clients", "maxclients", NUMBER, PD_SETTING_LIVE, 1,        \
	  1000000, "10000", "N",                                                                             \
	  "Connections at once (default 10000), as far as the limit of open files allows.")                  \
	X(NO_CORE_DUMPS, "no-core-dumps", "server.no-core-dumps", NULL, SWITCH, 0, 0, 0, "no", NULL,         \
	  "Write no core dump when the process crashes, and let no debugger of the same user in: either\n"   \
	  "would show whatever is in memory.")                                                               \
	X(DURABILITY, "durability", "durability.level", NULL, CHOICE, PD_SETTING_LIVE, 0, 0, "strict",       \
	  "none|performance|standard|strict|full",                                                           \
	  "When a write is acknowledged, unless the connection, actor or tenant says otherwise:\n"           \
	  "  none         evaluated; never synced for its own sake\n"                                        \
	  "  performance  in the log's memory, synced within the sync interval\n"                            \
	  "  standard     handed to the kernel: a killed process loses nothing\n"                            \
	  "  strict       on stable storage: a power cut loses nothing (default strict)\n"                   \
	  "  full         and in the state on disk, too: nothing to replay after a power cut")               \
	X(SYNC_INTERVAL, "sync-interval", "durability.sync-interval", NULL, DURATION, PD_SETTING_LIVE, 1,    \
	  3600000, "100ms", "DURATION",                                                                      \
	  "How long performance and standard writes may stay unsynced (default 100ms).")                     \
	X(MEMORY_BUDGET, "memory-budget", "memory.budget", "maxmemory", SIZE,                                \
	  PD_SETTING_AUTO | PD_SETTING_LIVE, PD_BUDGET_MIN, 0, "auto", "SIZE",                               \
	  "Memory that the whole process may have (default auto: a quarter of the machine's, at least\n"     \
	  "64MiB). What would not fit has to wait, or is refused with -OOM.")                                \
	X(RETENTION_TIME, "retention-time", "retention.time", NULL, DURATION, PD_SETTING_LIVE, 0, 0, "24h",  \
	  "DURATION",                                                                                        \
	  "How much of the past is kept (default 24h): a checkpoint from before it, and all of the log\n"    \
	  "since; 0: time does not matter.")                                                                 \
	X(RETENTION_SIZE, "retention-size", "retention.size", NULL, SIZE, PD_SETTING_LIVE, 0, 0, "10GiB",    \
	  "SIZE",                                                                                            \
	  "How much of the log is kept for that at most (default 10GiB); 0: its size does not matter.\n"     \
	  "Both 0: no more is kept than recovery needs.")                                                    \
	X(VIEW_AGE, "view-age", "retention.view-age", NULL, DURATION, PD_SETTING_LIVE, 0, 0, "1h",           \
	  "DURATION",                                                                                        \
	  "How long a read of one moment (a long one, or one of the past) may keep from being removed\n"     \
	  "what it may need (default 1h); then its reader is told VIEWTOOOLD. 0: no limit.")                 \
	X(ARCHIVE, "archive", "archive.address", NULL, TEXT, 0, 0, 0, "", "ADDRESS",                         \
	  "Follow the log into an archive (default: none): a directory that is there, on another disk or\n"  \
	  "machine than the data, or s3://BUCKET/PREFIX. See docs/archive.md.")                              \
	X(ARCHIVE_INTERVAL, "archive-interval", "archive.interval", NULL, DURATION, PD_SETTING_LIVE, 10,     \
	  3600000, "1s", "DURATION", "How long what is durable may wait for the archive (default 1s).")      \
	X(ARCHIVE_DISK_LIMIT, "archive-disk-limit", "archive.disk-limit", NULL, SIZE, PD_SETTING_LIVE, 0, 0, \
	  "10GiB", "SIZE",                                                                                   \
	  "How much of the log is kept for an archive that is down or slow (default 10GiB). Beyond it\n"     \
	  "retention may take what is not archived, which leaves a gap there. 0: nothing is taken, and\n"    \
	  "when the disk is full writes are refused.")                                                       \
	X(ARCHIVE_RETENTION, "archive-retention", "archive.retention", NULL, DURATION, PD_SETTING_LIVE, 0,   \
	  0, "0", "DURATION",                                                                                \
	  "How long archived segments stay (default 0: for ever). What is left after them can be replayed\n" \
	  "only onto a copy of the state: have backups that are younger before you set it.")                 \
	X(S3_ENDPOINT, "s3-endpoint", "s3.endpoint", NULL, TEXT, 0, 0, 0, "", "URL",                         \
	  "The service that addresses with s3:// mean, such as https://minio.example:9000 (default: AWS).")  \
	X(S3_REGION, "s3-region", "s3.region", NULL, TEXT, 0, 0, 0, "", "REGION",                            \
	  "Its region (default: AWS_REGION, AWS_DEFAULT_REGION, else us-east-1).")                           \
	X(S3_STYLE, "s3-style", "s3.style", NULL, CHOICE, 0, 0, 0, "auto", "auto|path|virtual",              \
	  "Where the bucket is named: path, virtual (the host's name), or auto (default auto: virtual at\n"  \
	  "AWS, else path).")                                                                                \
	X(S3_LOOK_FIRST, "s3-look-first", "s3.look-first", NULL, SWITCH, 0, 0, 0, "no", NULL,                \
	  "The service does not know If-None-Match: look whether there is an object before one is put. "     \
	  "Only\n"                                                                                           \
	  "where nobody else writes to the same place.")                                                     \
	X(S3_CA_FILE, "s3-ca-file", "s3.ca-file", NULL, TEXT, 0, 0, 0, "", "FILE",                           \
	  "Who vouches for the service, as PEM (default: those that this system trusts).")                   \
	X(S3_ENCRYPTION, "s3-encryption", "s3.encryption", NULL, TEXT, 0, 0, 0, "", "METHOD",                \
	  "How the service encrypts what is put there: AES256 or aws:kms (default: as the bucket does).")    \
	X(S3_KMS_KEY, "s3-kms-key", "s3.kms-key", NULL, TEXT, 0, 0, 0, "", "ID",                             \
	  "With aws:kms, under which key (default: the account's).")                                         \
	X(BACKUP_KEY_FILE, "backup-key-file", "backup.key-file", NULL, TEXT, PD_SETTING_LIVE, 0, 0, "",      \
	  "FILE",                                                                                            \
	  "The key of encrypted repositories (default: none), for backups that name no key themselves: 32\n" \
	  "random bytes, or 64 hexadecimal digits. See docs/recovery.md.")                                   \
	X(BACKUP_PASSPHRASE_FILE, "backup-passphrase-file", "backup.passphrase-file", NULL, TEXT,            \
	  PD_SETTING_LIVE, 0, 0, "", "FILE", "The same with a passphrase, in the file's first line.")        \
	X(BACKUP_REPOSITORY, "backup-repository", "backup.repository", NULL, TEXT, PD_SETTING_LIVE, 0, 0,    \
	  "", "ADDRESS",                                                                                     \
	  "Where the server makes backups by itself (default: none): the path of a directory that is "       \
	  "there,\n"                                                                                         \
	  "on another disk or machine than the data, or s3://BUCKET/PREFIX. See docs/recovery.md.")          \
	X(BACKUP_FULL, "backup-full", "backup.full", NULL, TEXT, PD_SETTING_LIVE, 0, 0, "", "SCHEDULE",      \
	  "When a full one is made (default: never), as cron has it, in UTC: \"0 3 * * 0\" is on Sundays\n"  \
	  "at 03:00; @daily.")                                                                               \
	X(BACKUP_DIFFERENTIAL, "backup-differential", "backup.differential", NULL, TEXT, PD_SETTING_LIVE, 0, \
	  0, "", "SCHEDULE", "When one of all since the last full one is made (default: never).")            \
	X(BACKUP_INCREMENTAL, "backup-incremental", "backup.incremental", NULL, TEXT, PD_SETTING_LIVE, 0, 0, \
	  "", "SCHEDULE", "When one of all since the last one is made (default: never).")                    \
	X(BACKUP_LOG, "backup-log", "backup.log", NULL, TEXT, PD_SETTING_LIVE, 0, 0, "", "SCHEDULE",         \
	  "When one of the log since the last one is made (default: never): \"*/5 * * * *\".")               \
	X(BACKUP_EVERY_CRITICAL, "backup-every-critical", "backup.every-critical", NULL, DURATION,           \
	  PD_SETTING_LIVE, 0, 0, "0", "DURATION",                                                            \
	  "How long a write to an actor whose durability is strict or more may be in no backup (and no\n"    \
	  "archive): then one of the log is made (default 0: the rule says nothing). Where nothing is\n"     \
	  "written, nothing is made.")                                                                       \
	X(BACKUP_EVERY_STANDARD, "backup-every-standard", "backup.every-standard", NULL, DURATION,           \
	  PD_SETTING_LIVE, 0, 0, "0", "DURATION",                                                            \
	  "The same of actors whose durability is standard (default 0).")                                    \
	X(BACKUP_EVERY_PERFORMANCE, "backup-every-performance", "backup.every-performance", NULL, DURATION,  \
	  PD_SETTING_LIVE, 0, 0, "0", "DURATION",                                                            \
	  "The same of actors whose durability is performance (default 0).")                                 \
	X(BACKUP_EXPIRE, "backup-expire", "backup.expire", NULL, TEXT, PD_SETTING_LIVE, 0, 0, "",            \
	  "SCHEDULE", "When those go that none of the rules below keeps (default: never).")                  \
	X(BACKUP_DRILL, "backup-drill", "backup.drill", NULL, TEXT, PD_SETTING_LIVE, 0, 0, "", "SCHEDULE",   \
	  "When the newest backup is restored on trial, with what an archive has behind it, and what came\n" \
	  "of it compared (default: never).")                                                                \
	X(BACKUP_DRILL_DIRECTORY, "backup-drill-directory", "backup.drill-directory", NULL, TEXT,            \
	  PD_SETTING_LIVE, 0, 0, "", "DIR",                                                                  \
	  "Where drills are made (default: in the data directory): there has to be room for all data once\n" \
	  "more.")                                                                                           \
	X(BACKUP_KEEP, "backup-keep", "backup.keep", NULL, NUMBER, PD_SETTING_LIVE, 0, 1000000, "0", "N",    \
	  "Keep the newest so many with a state, and the log since (default 0: the rule says nothing).")     \
	X(BACKUP_KEEP_FOR, "backup-keep-for", "backup.keep-for", NULL, DURATION, PD_SETTING_LIVE, 0, 0, "0", \
	  "DURATION",                                                                                        \
	  "Keep those made within so long before the newest (default 0: the rule says nothing).")            \
	X(BACKUP_KEEP_DAILY, "backup-keep-daily", "backup.keep-daily", NULL, NUMBER, PD_SETTING_LIVE, 0,     \
	  1000000, "0", "N", "Keep the last one of each of the newest so many days (default 0).")            \
	X(BACKUP_KEEP_WEEKLY, "backup-keep-weekly", "backup.keep-weekly", NULL, NUMBER, PD_SETTING_LIVE, 0,  \
	  1000000, "0", "N", "The same by weeks (default 0).")                                               \
	X(BACKUP_KEEP_MONTHLY, "backup-keep-monthly", "backup.keep-monthly", NULL, NUMBER, PD_SETTING_LIVE,  \
	  0, 1000000, "0", "N", "The same by months (default 0).")                                           \
	X(BACKUP_KEEP_YEARLY, "backup-keep-yearly", "backup.keep-yearly", NULL, NUMBER, PD_SETTING_LIVE, 0,  \
	  1000000, "0", "N", "The same by years (default 0).")                                               \
	X(COMPACTION_RATE, "compaction-rate", "compaction.rate", NULL, SIZE, PD_SETTING_LIVE, 0, 0, "0",     \
	  "SIZE",                                                                                            \
	  "Bytes a second that compaction may read and write (default 0: no limit); less than 64KiB is\n"    \
	  "taken for that.")                                                                                 \
	X(SEGMENT_SIZE, "segment-size", "log.segment-size", NULL, SIZE, PD_SETTING_AUTO,                     \
	  PD_LOG_SEGMENT_BYTES_MIN, 1u << 30, "auto", "SIZE",                                                \
	  "Size of the log's files, a multiple of 4KiB (default auto: 64MiB, less with a memory budget\n"    \
	  "below 1GiB).")                                                                                    \
	X(QUEUE_DEPTH, "queue-depth", "log.queue-depth", NULL, NUMBER, PD_SETTING_AUTO, 0, 64, "auto", "N",  \
	  "Writes of the log in flight at once; 1 is synchronous (default auto, or 0: the disk is\n"         \
	  "measured).")                                                                                      \
	X(LOG_FORMAT, "log-format", "logging.format", NULL, CHOICE, PD_SETTING_LIVE, 0, 0, "text",           \
	  "text|json",                                                                                       \
	  "Form of the messages on standard error (default text): lines for people, with the time where\n"   \
	  "it is no terminal, or one JSON object a line.")                                                   \
	X(LOG_LEVEL, "log-level", "logging.level", NULL, CHOICE, PD_SETTING_LIVE, 0, 0, "info",              \
	  "error|warning|info|debug", "The least urgent messages that are said (default info).")             \
	X(SLOWLOG_SLOWER_THAN, "slowlog-slower-than", "slowlog.slower-than", "slowlog-log-slower-than",      \
	  NUMBER, PD_SETTING_LIVE, -1, INT64_MAX, "10000", "MICROSECONDS",                                   \
	  "Commands that take longer are noted by SLOWLOG (default 10000); 0: all of them, -1: none.")       \
	X(SLOWLOG_MAX_LENGTH, "slowlog-max-length", "slowlog.max-length", "slowlog-max-len", NUMBER,         \
	  PD_SETTING_LIVE, 0, 65536, "128", "N", "How many of them SLOWLOG keeps (default 128).")            \
	X(NOTIFY_KEYSPACE_EVENTS, "notify-keyspace-events", "notifications.keyspace-events",                 \
	  "notify-keyspace-events", TEXT, PD_SETTING_LIVE, 0, 0, "", "EVENTS",                               \
	  "Which events of keys are published, in Redis's letters, such as KEA (default: none).")            \
	X(ALLOW_OPEN, "allow-open", "security.allow-open", NULL, SWITCH, 0, 0, 0, "no", NULL,                \
	  "Serve without any user on an address that other machines reach: whoever reaches it may read\n"    \
	  "and change everything.")                                                                          \
	X(TLS_PORT, "tls-port", "tls.port", "tls-port", NUMBER, 0, 0, 65535, "0", "PORT",                    \
	  "Port of the Redis protocol over TLS (default 0: closed). With --resp 0 there is no other.")       \
	X(TLS_CERT_FILE, "tls-cert-file", "tls.cert-file", "tls-cert-file", TEXT, 0, 0, 0, "", "FILE",       \
	  "The server's certificate, and those between it and its root, as PEM. SIGHUP reads it again.")     \
	X(TLS_KEY_FILE, "tls-key-file", "tls.key-file", "tls-key-file", TEXT, 0, 0, 0, "", "FILE",           \
	  "The private key of that certificate, as PEM. SIGHUP reads it again.")                             \
	X(TLS_KEY_PASSWORD, "tls-key-password", "tls.key-password", "tls-key-file-pass", TEXT,               \
	  PD_SETTING_SECRET, 0, 0, "", "PASSWORD",                                                           \
	  "The password of the key, if it is encrypted: in the file or the environment only.")               \
	X(TLS_CA_FILE, "tls-ca-file", "tls.ca-file", "tls-ca-cert-file", TEXT, 0, 0, 0, "", "FILE",          \
	  "The certificates that vouch for clients', as PEM. SIGHUP reads it again.")                        \
	X(TLS_AUTH_CLIENTS, "tls-auth-clients", "tls.auth-clients", "tls-auth-clients", CHOICE, 0, 0, 0,     \
	  "no", "no|optional|yes",                                                                           \
	  "Whether clients have to show a certificate: no (default no), optional (one that is shown has "    \
	  "to\n"                                                                                             \
	  "be good), or yes.")                                                                               \
	X(TLS_CERTIFICATE_USERS, "tls-certificate-users", "tls.certificate-users", NULL, SWITCH, 0, 0, 0,    \
	  "no", NULL,                                                                                        \
	  "A client whose certificate's common name is that of a user is that user, without a password.")    \
	X(TLS_HANDSHAKE_TIMEOUT, "tls-handshake-timeout", "tls.handshake-timeout", NULL, DURATION, 0, 100,   \
	  600000, "10s", "DURATION", "How long a TLS handshake may take (default 10s).")

enum pd_setting_id {
#define X(id, ...) PD_SETTING_##id,
	PD_SETTING_LIST(X)
#undef X
		PD_SETTING_COUNT,
};

struct pd_setting {
	const char *name, *path, *redis;
	enum pd_setting_kind kind;
	unsigned flags; /* enum pd_setting_flags */
	int64_t least, most;
	const char *initial;
	const char *argument;
	const char *help;
};

/* What a text means. */
struct pd_setting_value {
	int64_t number; /* the number; 0 and 1 of a switch; the index of a choice */
	char *text;     /* of a text or a choice, NUL-terminated; else NULL */
};

const struct pd_setting *pd_setting(enum pd_setting_id id);
/* By the key in a file, or by what CONFIG calls it, without regard to case. PD_SETTING_COUNT: there is none. */
enum pd_setting_id pd_setting_by_path(struct pd_slice path);
enum pd_setting_id pd_setting_by_config_name(struct pd_slice name);

#define PD_SETTING_NAME_SIZE 64 /* of any name or path, with a prefix and its NUL */
/* PERDURE_SOME_NAME. */
void pd_setting_environment_name(const struct pd_setting *setting, char name[PD_SETTING_NAME_SIZE]);
/* What CONFIG calls it. */
void pd_setting_config_name(const struct pd_setting *setting, char name[PD_SETTING_NAME_SIZE]);

#define PD_SETTING_TEXT_MAX 4096 /* bytes of a value */
/* Understand a text as a value: its text is the caller's to free. `where` names the source in the error: "--resp",
 * "PERDURE_RESP", "server.resp". PD_INVALID, with what would do; PD_NO_MEMORY. A secret is not repeated. */
PD_MUST_CHECK int pd_setting_parse(const struct pd_setting *setting, const char *where, struct pd_slice text,
				   struct pd_setting_value *ret_value, struct pd_error *err);
/* As one would write it: "64MiB", "24h", "yes". Of a secret: "(set)" or "". `plain`: sizes in bytes, for programs. */
void pd_setting_format(const struct pd_setting *setting, const struct pd_setting_value *value, bool plain,
		       char text[PD_SETTING_TEXT_MAX + 1]);
/* "64 to 1GiB", "no | yes": what a value may be, for the pages. */
void pd_setting_describe_values(const struct pd_setting *setting, char text[256]);

#endif
