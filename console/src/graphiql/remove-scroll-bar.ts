/**
 * In place of the package `react-remove-scroll-bar`, which stops the page from scrolling behind a dialog by a <style>
 * element that the Content-Security-Policy refuses. GraphiQL's page fills the window and does not scroll.
 */
export function RemoveScrollBar(): null {
  return null;
}
