[mailferry_page]
title="mailferry"
title_ger="mailferry"
desc="Settings and state of mailferry (HTTPS)"
desc_ger="Einstellungen und Zustand von mailferry (HTTPS)"
port_forward="no"
dst.ports="8421/tcp"

[mailferry_submission]
title="mailferry: mail to be sent"
title_ger="mailferry: ausgehende Post"
desc="Takes mail from the mail server of this NAS; from the network only when you allow it there"
desc_ger="Nimmt Post vom Mailserver dieses NAS an; aus dem Netz nur, wenn Sie es dort erlauben"
port_forward="no"
dst.ports="2525/tcp"
