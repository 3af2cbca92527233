package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.cuda.EmulatedControls;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.Sessions;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TestLostDevice {
  @TempDir Path folder;

  private JobRun run(Path input) {
    return new JobRun(Sessions.shared(), input, folder.resolve("out"))
        .with("backend", "cuda", "max-model-len", "256", "max-batch", "4", "unit-rows", "4");
  }

  /** In the user's own process the job ends, with the cause, and nothing else does. */
  @Test
  void testAJobInThisProcessFailsAndTheProcessGoesOn() throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 16);
    try (EmulatedControls controls = EmulatedControls.open()) {
      controls.quiet();
      controls.failLaunch(200);
      BulkgenException lost = assertThrows(BulkgenException.class, () -> run(input).run());
      assertEquals(ErrorCode.DEVICE_LOST, lost.code());
      assertTrue(lost.getMessage().contains("CUDA_ERROR_LAUNCH_FAILED"), lost.getMessage());
    }
    JobReport again = run(input).run();
    assertEquals(16, again.rows());
    assertEquals(JobReport.Outcome.DONE, again.outcome());
  }
}
