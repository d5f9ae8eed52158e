window.millrace.identify(7);
window.millrace.track("marker");
