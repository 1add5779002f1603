/* Ends the process at one of its changes to files, for tests of what is left: see points.rs.
 *
 * Loaded before the C library. Counts every write, cut, sync, rename and removal of a regular file, by whatever thread;
 * `GLASSBREAK_KILL` is "<which> <how> <microseconds>". At the end of a process that lived, the count is told on stdout.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum how { BEFORE, HALF, AFTER, LATER };

static atomic_long changes;
static long last;
static int how;
static long micros;

__attribute__((constructor)) static void begin(void) {
    const char *said = getenv("GLASSBREAK_KILL");
    if (said == NULL || sscanf(said, "%ld %d %ld", &last, &how, &micros) != 3) last = 0;
}

__attribute__((destructor)) static void tell(void) {
    char line[64];
    int length = snprintf(line, sizeof line, "\n#changes %ld\n", atomic_load(&changes));
    if (write(STDOUT_FILENO, line, (size_t)length) < 0) return;
}

static void end(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether this change is the one. */
static int reached(int fd) {
    struct stat found;
    if (fd >= 0 && (fstat(fd, &found) != 0 || !S_ISREG(found.st_mode))) return 0;
    return atomic_fetch_add(&changes, 1) + 1 == last;
}

/* The change was made. A timer of the kernel ends the process wherever it then is, also where it makes no calls. */
static void made(void) {
    if (how != LATER) end();
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct itimerspec when = {.it_value = {.tv_nsec = micros * 1000 + 1}};
    timer_t timer;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &when, NULL) != 0) end();
}

#define REAL(type, name, ...)                                  \
    static type (*real)(__VA_ARGS__);                          \
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, name)

/* A change that is whole or not at all. */
#define WHOLE(fd, call)                                        \
    int now = reached(fd);                                     \
    if (now && (how == BEFORE || how == HALF)) end();          \
    int done = call;                                           \
    if (now) made();                                           \
    return done

/* A change that may be cut. */
#define PART(fd, call, half)                                   \
    int now = reached(fd);                                     \
    if (now && how == HALF && (half) >= 0) end();   \
    if (now && (how == BEFORE || how == HALF)) end();          \
    ssize_t done = call;                                       \
    if (now) made();                                           \
    return done

ssize_t write(int fd, const void *from, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    PART(fd, real(fd, from, size), real(fd, from, size / 2));
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t at) {
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    PART(fd, real(fd, from, size, at), real(fd, from, size / 2, at));
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    PART(fd, real(fd, from, size, at), real(fd, from, size / 2, at));
}

int ftruncate(int fd, off_t size) {
    REAL(int, "ftruncate", int, off_t);
    WHOLE(fd, real(fd, size));
}

int ftruncate64(int fd, off64_t size) {
    REAL(int, "ftruncate64", int, off64_t);
    WHOLE(fd, real(fd, size));
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    WHOLE(fd, real(fd));
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    WHOLE(fd, real(fd));
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    WHOLE(-1, real(from, to));
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    WHOLE(-1, real(path));
}
