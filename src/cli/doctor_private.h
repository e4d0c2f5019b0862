/* `perdure doctor`: what was found, and who looks for it. */
#ifndef PD_CLI_DOCTOR_PRIVATE_H
#define PD_CLI_DOCTOR_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/link.h"
#include "os/os.h"

enum pd_doctor_severity {
	PD_DOCTOR_OK,
	PD_DOCTOR_NOTE,    /* worth knowing; nothing has to be done */
	PD_DOCTOR_WARNING, /* it will be slow, or fail some day */
	PD_DOCTOR_DANGER,  /* data are in danger, or no server can work like this */
};

struct pd_doctor_finding {
	const char *check; /* "disk.sync" */
	enum pd_doctor_severity severity;
	char text[480];
	char fix[480]; /* what to do; empty: nothing */
};

#define PD_DOCTOR_FINDINGS_MAX 128

struct pd_doctor {
	struct pd_os *os;
	const char *data;
	char place[1024];     /* the data directory, or where it would be made */
	bool is_there;        /* the data directory */
	bool is_no_directory; /* something else has its name: there is no more to see */
	/* ---- of the server that runs on it ---- */
	struct pd_link link;
	bool has_server;
	long pid; /* in LOCK; 0: none */
	/* ---- what the server has, or would have with no options ---- */
	uint64_t budget, retention_bytes;
	struct pd_doctor_finding findings[PD_DOCTOR_FINDINGS_MAX];
	size_t count;
};

/* Note a finding; what is more than fits is dropped. */
void pd_doctor_found(struct pd_doctor *doctor, enum pd_doctor_severity severity, const char *check,
		     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* What to do about the last one. */
void pd_doctor_fix(struct pd_doctor *doctor, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The beginning of a small file, without its last line end. false: it cannot be read. */
bool pd_doctor_read(const struct pd_doctor *doctor, const char *path, char *text, size_t size);

/* Each looks at one part. In this order: the later know what the earlier found. */
void pd_doctor_directory(struct pd_doctor *doctor);
void pd_doctor_server(struct pd_doctor *doctor);
void pd_doctor_disk(struct pd_doctor *doctor);
void pd_doctor_machine(struct pd_doctor *doctor);

#endif
