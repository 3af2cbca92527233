package dev.bulkgen.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TestThreadTeam {
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 7})
  void everyTaskRunsOnceAndIsSeen(int size) {
    try (ThreadTeam team = new ThreadTeam("test", size)) {
      for (int tasks : new int[] {0, 1, 2, 3, 64, 1000}) {
        AtomicIntegerArray runs = new AtomicIntegerArray(tasks);
        int[] plain = new int[tasks];
        team.run(
            tasks,
            (task, worker) -> {
              assertTrue(worker >= 0 && worker < size);
              runs.incrementAndGet(task);
              plain[task] = task + 1;
            });
        for (int i = 0; i < tasks; i++) {
          assertEquals(1, runs.get(i), "task " + i + " of " + tasks);
          assertEquals(i + 1, plain[i], "the caller sees what workers wrote");
        }
      }
    }
  }

  @Test
  void noTwoTasksHaveOneWorkerAtATime() {
    try (ThreadTeam team = new ThreadTeam("test", 3)) {
      AtomicIntegerArray busy = new AtomicIntegerArray(3);
      for (int round = 0; round < 200; round++) {
        team.run(
            20,
            (task, worker) -> {
              assertEquals(1, busy.incrementAndGet(worker));
              busy.decrementAndGet(worker);
            });
      }
    }
  }

  @Test
  void whatATaskThrowsComesOutAndTheTeamGoesOn() {
    try (ThreadTeam team = new ThreadTeam("test", 3)) {
      for (int bad : new int[] {0, 5, 99}) {
        IllegalStateException thrown =
            assertThrows(
                IllegalStateException.class,
                () ->
                    team.run(
                        100,
                        (task, worker) -> {
                          if (task == bad) {
                            throw new IllegalStateException("task " + task);
                          }
                        }));
        assertEquals("task " + bad, thrown.getMessage());
        int[] done = new int[50];
        team.run(50, (task, worker) -> done[task]++);
        assertEquals(50, Arrays.stream(done).sum());
      }
    }
  }

  @Test
  void wakesAfterAPause() {
    try (ThreadTeam team = new ThreadTeam("test", 2)) {
      for (int i = 0; i < 5; i++) {
        LockSupport.parkNanos(20_000_000);
        int[] done = new int[8];
        team.run(8, (task, worker) -> done[task]++);
        assertEquals(8, Arrays.stream(done).sum());
      }
    }
  }

  @Test
  void aClosedTeamRefuses() {
    ThreadTeam team = new ThreadTeam("test-closing", 2);
    team.close();
    assertThrows(IllegalStateException.class, () -> team.run(2, (task, worker) -> {}));
    assertFalse(
        Thread.getAllStackTraces().keySet().stream()
            .anyMatch(thread -> thread.getName().startsWith("test-closing")));
  }
}
