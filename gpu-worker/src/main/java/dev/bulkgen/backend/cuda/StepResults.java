package dev.bulkgen.backend.cuda;

/** What a step leaves for the host, in pinned memory: valid once {@link #await} has returned. */
final class StepResults {
  private final CudaWorkspace workspace;
  private final CudaStream stream;
  private final PinnedMemory drawn; // int [slots]
  private final PinnedMemory promptFlags; // int [prefillTokens], 1 where a row is not finite
  private final PinnedMemory decodeFlags; // int [slots]
  private final CudaEvent done;

  /**
   * @param memory that closes it
   */
  StepResults(OwnedMemory memory, CudaWorkspace workspace, CudaStream stream) {
    this.workspace = workspace;
    this.stream = stream;
    CudaShape shape = workspace.shape();
    drawn = memory.pinned(shape.drawnBytes(), "next tokens");
    long tokens = shape.capacity().prefillTokens();
    promptFlags = memory.pinned(tokens * Integer.BYTES, "finite flags");
    decodeFlags = memory.pinned(shape.drawnBytes(), "finite flags");
    done = memory.event("step");
  }

  /** Behind a pass's last norm: brings the flags of its rows to the host, without waiting. */
  void fetchPromptFlags(int rows) {
    fetchFlags(promptFlags, rows);
  }

  void fetchDecodeFlags(int rows) {
    fetchFlags(decodeFlags, rows);
  }

  private void fetchFlags(PinnedMemory target, int rows) {
    stream.download(target, 0, workspace.broken, 0, (long) rows * Integer.BYTES);
  }

  /** At the end of a step: brings the tokens to the host, without waiting. */
  void fetchTokens() {
    stream.download(drawn, 0, workspace.drawn, 0, drawn.bytes());
    stream.record(done);
  }

  /** Waits for the step; a failure of its work shows here. */
  void await() {
    done.synchronize();
  }

  boolean isPromptBroken(int row) {
    return promptFlags.buffer().getInt(row * Integer.BYTES) != 0;
  }

  boolean isDecodeBroken(int row) {
    return decodeFlags.buffer().getInt(row * Integer.BYTES) != 0;
  }

  /** The token drawn for a slot in the step, or {@link SamplingKernels#NO_TOKEN}. */
  int token(int slot) {
    return drawn.buffer().getInt(slot * Integer.BYTES);
  }
}
